//! What the backend tells without being asked.

use std::sync::Weak;

use gristmill_core::{Hint, Listener};

use super::shared::Shared;

/// Passes hints on. Holds the worker weakly: a backend may keep its listeners longer than the worker lives.
pub(crate) struct HintListener(pub(crate) Weak<Shared>);

impl Listener for HintListener {
    fn hint(&self, hint: &Hint) {
        let Some(shared) = self.0.upgrade() else { return };
        match hint {
            Hint::Available(queue) | Hint::QueueChanged(queue) => shared.appetite.wake(queue),
            Hint::Due(due) => shared.due.at(*due),
            // The renewal's answer says which jobs of this worker are meant.
            Hint::CancelRequested(_) if shared.slots.used() > 0 => shared.pulse.notify_one(),
            Hint::CancelRequested(_) | Hint::Ended(_) => {}
        }
    }
}
