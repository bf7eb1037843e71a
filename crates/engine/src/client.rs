//! Enqueues, inspects and operates: thin over the seam.

use std::sync::Arc;

use gristmill_core::{Backend, Clock, IdSource, JobId, SystemClock};

/// A handle on a store of jobs. Cloning is cheap; clones share everything.
#[derive(Debug, Clone)]
pub struct Client(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    backend: Arc<dyn Backend>,
    clock: Arc<dyn Clock>,
    ids: IdSource,
}

impl Client {
    /// A client of this backend.
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self::with_clock(backend, Arc::new(SystemClock))
    }

    /// A client that mints ids by another clock; for tests.
    pub fn with_clock(backend: Arc<dyn Backend>, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Shared { backend, clock, ids: IdSource::new() }))
    }

    /// The backend below, for what the client does not offer.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.0.backend
    }

    /// A new job id, by the store's clock.
    pub fn mint_id(&self) -> JobId {
        let offset = self.0.backend.id_context().clock_offset_ms;
        self.0.ids.next(self.0.clock.now().offset_millis(offset))
    }
}
