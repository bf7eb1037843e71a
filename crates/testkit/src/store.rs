//! What a backend's factory hands to the suite.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use gristmill_core::Backend;

use crate::damage::{Damage, Hook};

type Reopen = Box<dyn Fn() -> Arc<dyn Backend> + Send + Sync>;

/// A fresh, empty store for one case: schema up to date, no jobs, no workers, no queues.
pub struct Store {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) reopen: Option<Reopen>,
    pub(crate) damage: Option<Hook>,
    pub(crate) guard: Option<Box<dyn Any + Send + Sync>>,
}

impl Store {
    /// A store that needs nothing but its backend.
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend, reopen: None, damage: None, guard: None }
    }

    /// Keeps something alive as long as the store, such as a temporary folder. It is dropped after the
    /// backend.
    pub fn with_guard(mut self, guard: impl Any + Send + Sync) -> Self {
        self.guard = Some(Box::new(guard));
        self
    }

    /// How to open the same store again. The suite drops every handle to the old backend first, so closing
    /// must be finished when the last one is dropped. Needed by backends that promise
    /// [`Durable`](gristmill_core::Capability::Durable).
    pub fn with_reopen(mut self, reopen: impl Fn() -> Arc<dyn Backend> + Send + Sync + 'static) -> Self {
        self.reopen = Some(Box::new(reopen));
        self
    }

    /// How to make a stored row unreadable behind the backend's back: the cases about rows that do not decode
    /// need it. A store that keeps values of Rust instead of rows has none, and those cases pass it by.
    pub fn with_damage(mut self, damage: impl Fn(&Damage) + Send + Sync + 'static) -> Self {
        self.damage = Some(Box::new(damage));
        self
    }
}

impl From<Arc<dyn Backend>> for Store {
    fn from(backend: Arc<dyn Backend>) -> Self {
        Self::new(backend)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("backend", &self.backend)
            .field("can_be_damaged", &self.damage.is_some())
            .field("reopens", &self.reopen.is_some())
            .finish_non_exhaustive()
    }
}
