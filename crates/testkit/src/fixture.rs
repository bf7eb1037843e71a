//! One store under test, with a clock the case moves and short verbs for what it does.

pub(crate) mod act;
pub(crate) mod ask;
pub(crate) mod register;
pub(crate) mod shape;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gristmill_core::{
    Args, Backend, BackendError, Call, ClaimId, Clock, Encoding, IdSource, JobId, JobSpec, ManualClock, Name,
    NewJob, Reply, Timestamp,
};

use crate::damage::{Damage, Hook};
use crate::{Store, block_on};

/// How long one call of the suite may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// 2026-01-01T00:00:00Z: where the clock of every case starts.
const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// One fresh store, a clock that only the case moves, and short verbs.
///
/// Every call carries the case's own `now` and a deadline, and is waited for on the calling thread. The verbs
/// panic when the backend answers with an error; where an error is the point, the case asks the
/// [backend](Self::backend) itself. A fixture may be used by several threads at once.
pub struct Fixture {
    open: Mutex<Option<Arc<dyn Backend>>>,
    store: StoreParts,
    clock: ManualClock,
    ids: IdSource,
    claims: AtomicU64,
}

/// What is left of a [`Store`] beside its backend.
struct StoreParts {
    reopen: Option<Box<dyn Fn() -> Arc<dyn Backend> + Send + Sync>>,
    damage: Option<Hook>,
    /// Dropped with the fixture, after the backend.
    _guard: Option<Box<dyn std::any::Any + Send + Sync>>,
}

impl Fixture {
    /// The queue of jobs that name none.
    pub const QUEUE: &'static str = "line";
    /// The kind of jobs that name none.
    pub const KIND: &'static str = "work";
    /// The length of a worker's leases unless it says otherwise.
    pub const LEASE: Duration = Duration::from_secs(30);

    /// A fixture over a fresh store.
    pub fn new(store: Store) -> Self {
        let Store { backend, reopen, damage, guard } = store;
        Self {
            open: Mutex::new(Some(backend)),
            store: StoreParts { reopen, damage, _guard: guard },
            clock: ManualClock::new(START),
            ids: IdSource::new(),
            claims: AtomicU64::new(0),
        }
    }

    /// The backend under test.
    pub fn backend(&self) -> Arc<dyn Backend> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(open.as_ref().expect("the store is open between calls of `reopen`"))
    }

    /// Closes the store and opens it again, as after a restart of the process.
    ///
    /// # Panics
    /// When the factory did not say how, or when the case still holds the backend.
    pub fn reopen(&self) {
        let reopen = self.store.reopen.as_ref().expect(
            "a backend that promises `durable` gives the suite a way to open its store again (`Store::with_reopen`)",
        );
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        drop(open.take());
        *open = Some(reopen());
    }

    /// Whether rows of the store can be made unreadable.
    pub fn can_damage(&self) -> bool {
        self.store.damage.is_some()
    }

    /// Makes a stored row unreadable.
    ///
    /// # Panics
    /// When the factory did not say how (`Store::with_damage`).
    pub fn damage(&self, what: &Damage) {
        let damage = self.store.damage.as_ref().expect("the case looked whether rows can be damaged");
        damage(what);
    }

    /// What every call carries.
    pub fn call(&self) -> Call {
        Call::at(self.now()).within(DEADLINE)
    }

    /// The present instant of the case.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Sets the clock back.
    pub fn go_back(&self, by: Duration) {
        self.clock.set(self.now() - by);
    }

    /// Moves the clock forward to the last millisecond before `by` has passed.
    pub fn advance_just_below(&self, by: Duration) {
        self.advance(by.saturating_sub(Duration::from_millis(1)));
    }

    /// The next job id.
    pub fn next_id(&self) -> JobId {
        self.ids.next(self.now())
    }

    /// The next number of a fetch; no two workers of a case share one.
    pub fn next_claim(&self) -> ClaimId {
        ClaimId(self.claims.fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// A job that may run at once, of the usual kind in the usual queue.
    pub fn job(&self) -> NewJob {
        NewJob::new(self.next_id(), JobSpec::new(name(Self::KIND), name(Self::QUEUE), Args::empty()))
    }

    /// Asks the backend and waits for what it says.
    ///
    /// # Errors
    /// The backend's own.
    #[track_caller]
    pub fn ask<T>(
        &self,
        question: impl for<'a> FnOnce(&'a dyn Backend, Call) -> Reply<'a, T>,
    ) -> Result<T, BackendError> {
        let backend = self.backend();
        block_on(question(&*backend, self.call()))
    }

    /// Asks the backend for something it must be able to do.
    ///
    /// # Panics
    /// When it answers with an error.
    #[track_caller]
    pub fn must<T>(&self, question: impl for<'a> FnOnce(&'a dyn Backend, Call) -> Reply<'a, T>) -> T {
        self.ask(question).unwrap_or_else(|error| panic!("the backend failed: {error:?}"))
    }
}

impl Drop for Fixture {
    /// The backend goes before the guard that keeps its files.
    fn drop(&mut self) {
        drop(self.open.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl std::fmt::Debug for Fixture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fixture").field("open", &self.open).field("now", &self.now()).finish_non_exhaustive()
    }
}

/// A name that a case wrote down itself.
///
/// # Panics
/// When it is no name.
pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap_or_else(|error| panic!("{error}"))
}

/// Args that a codec has written.
pub(crate) fn encoded(bytes: &'static [u8], codec: &str) -> Args {
    Args::encoded(bytes, Encoding::named(name(codec))).unwrap_or_else(|error| panic!("{error}"))
}
