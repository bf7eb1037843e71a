//! What the backend tells without being asked.

use std::sync::{Arc, Weak};

use gristmill_core::{Hint, Listener};
use tokio::sync::Notify;

use crate::worker::executor::slots::Slots;
use crate::worker::fetcher::appetite::Appetite;
use crate::worker::maintenance::due::Due;

/// What hints reach of a worker.
#[derive(Debug)]
pub(crate) struct Hints {
    pub(crate) appetite: Arc<Appetite>,
    pub(crate) due: Arc<Due>,
    pub(crate) slots: Arc<Slots>,
    pub(crate) pulse: Arc<Notify>,
}

/// Passes hints on. Holds the worker weakly: a backend may keep its listeners longer than the worker lives.
pub(crate) struct HintListener(pub(crate) Weak<Hints>);

impl Listener for HintListener {
    fn hint(&self, hint: &Hint) {
        let Some(hints) = self.0.upgrade() else { return };
        match hint {
            Hint::Available(queue) | Hint::QueueChanged(queue) => hints.appetite.wake(queue),
            Hint::Due(due) => hints.due.at(*due),
            Hint::Missed => {
                hints.appetite.wake_all();
                if hints.slots.used() > 0 {
                    hints.pulse.notify_one();
                }
            }
            // The renewal's answer says which jobs of this worker are meant.
            Hint::CancelRequested(_) if hints.slots.used() > 0 => hints.pulse.notify_one(),
            Hint::CancelRequested(_) | Hint::Ended(_) => {}
        }
    }
}
