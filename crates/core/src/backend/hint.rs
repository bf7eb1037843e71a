//! Notifications: hints, never the truth.

use std::fmt;
use std::sync::Arc;

use crate::{JobId, Name, Timestamp};

/// What may be worth a look. Hints may be lost, doubled or late; polling is the truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// A job of the queue became available.
    Available(Name),
    /// A job was put to wait until this instant of the store's clock: no promotion is due earlier because of
    /// it.
    Due(Timestamp),
    /// A cancel was asked for while the job runs.
    CancelRequested(JobId),
    /// The queue was paused or resumed.
    QueueChanged(Name),
    /// Hints may have been lost, such as before the backend's connection listens: everything is worth a look,
    /// queues that the process has not met included.
    Missed,
    /// A job ended. Sent only to listeners that [watch ends](Listener::watches_ends).
    Ended(JobId),
}

/// Receives the hints of a backend.
///
/// The backend calls it on a thread of its own, after the fact is stored. A listener must not block.
pub trait Listener: Send + Sync {
    /// Receives one hint.
    fn hint(&self, hint: &Hint);

    /// Whether the listener wants [`Hint::Ended`]; default false. It costs one hint per job. The backend
    /// calls this once, when the listener subscribes.
    fn watches_ends(&self) -> bool {
        false
    }
}

/// Keeps a listener subscribed; dropping it ends that.
pub struct Subscription(Option<Box<dyn FnOnce() + Send>>);

impl Subscription {
    /// A subscription that ends with `unsubscribe`.
    pub fn new(unsubscribe: impl FnOnce() + Send + 'static) -> Self {
        Self(Some(Box::new(unsubscribe)))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(unsubscribe) = self.0.take() {
            unsubscribe();
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subscription")
    }
}

/// The listeners of a backend. They receive hints in the order in which they subscribed.
#[derive(Clone, Default)]
pub struct Listeners(Arc<std::sync::Mutex<Registry>>);

#[derive(Default)]
struct Registry {
    next: u64,
    listeners: Vec<Subscribed>,
}

#[derive(Clone)]
struct Subscribed {
    number: u64,
    watches_ends: bool,
    listener: Arc<dyn Listener>,
}

impl Listeners {
    /// Adds a listener until the subscription is dropped.
    pub fn subscribe(&self, listener: Arc<dyn Listener>) -> Subscription {
        let mut registry = self.lock();
        registry.next += 1;
        let number = registry.next;
        registry.listeners.push(Subscribed { number, watches_ends: listener.watches_ends(), listener });
        let listeners = self.clone();
        Subscription::new(move || listeners.lock().listeners.retain(|other| other.number != number))
    }

    /// Passes every hint to every listener; [`Hint::Ended`] only to those that watch ends.
    pub fn send(&self, hints: &[Hint]) {
        if hints.is_empty() {
            return;
        }
        // Listeners are called without the lock: one of them may subscribe or end its subscription.
        let listeners = self.lock().listeners.clone();
        for Subscribed { listener, watches_ends, .. } in listeners {
            for hint in hints.iter().filter(|hint| watches_ends || !matches!(hint, Hint::Ended(_))) {
                listener.hint(hint);
            }
        }
    }

    /// Whether at least one listener wants [`Hint::Ended`]. Otherwise a backend need not create that hint.
    pub fn watch_ends(&self) -> bool {
        self.lock().listeners.iter().any(|subscribed| subscribed.watches_ends)
    }

    /// Whether there is no listener.
    pub fn is_empty(&self) -> bool {
        self.lock().listeners.is_empty()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Registry> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listeners({})", self.lock().listeners.len())
    }
}
