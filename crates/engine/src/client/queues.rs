//! Queues: looking, pausing, resuming.

use gristmill_core::{Error, Name, PauseRequest, QueueRecord};

use super::Client;

/// The queues of a store; from [`Client::queues`].
#[derive(Debug, Clone, Copy)]
pub struct Queues<'a>(&'a Client);

impl Client {
    /// The queues of the store.
    pub fn queues(&self) -> Queues<'_> {
        Queues(self)
    }
}

impl Queues<'_> {
    /// Every queue that has, or had, jobs or is paused, by name.
    ///
    /// # Errors
    /// The store's.
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn list(&self) -> Result<Vec<QueueRecord>, Error> {
        self.0.call("list_queues", |backend, call| backend.list_queues(call)).await
    }

    /// Stops new fetches from a queue, within a second everywhere; what runs goes on. The reason is for
    /// people; an empty one is none. The queue need not have jobs yet.
    ///
    /// # Errors
    /// [`Invalid`](gristmill_core::ErrorKind::Invalid) when the name is none; else the store's.
    ///
    /// # Cancel safety
    /// Dropped, it is done or not.
    pub async fn pause(&self, queue: &str, reason: &str) -> Result<(), Error> {
        let mut request = PauseRequest::new(Name::new(queue)?);
        request.reason = (!reason.is_empty()).then(|| reason.to_owned());
        request.actor.clone_from(&self.0.0.actor);
        self.0.call("pause", |backend, call| backend.pause(call, request)).await
    }

    /// Lets a paused queue go on. One that is not paused stays as it is.
    ///
    /// # Errors
    /// [`Invalid`](gristmill_core::ErrorKind::Invalid) when the name is none; else the store's.
    ///
    /// # Cancel safety
    /// Dropped, it is done or not.
    pub async fn resume(&self, queue: &str) -> Result<(), Error> {
        let queue = Name::new(queue)?;
        self.0.call("resume", |backend, call| backend.resume(call, queue)).await
    }
}
