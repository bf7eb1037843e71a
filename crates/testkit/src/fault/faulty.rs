//! A backend in front of another, with a fault now and then.

use std::any::Any;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gristmill_core::{
    Backend, BackendError, BackendErrorKind, BackendTx, BoxFuture, Call, FinishItem, FinishReply,
    FinishRequest, Finished, JobId, Lease, Listener, Operation, Reply, Subscription, Wrapper,
};

use super::gate::Gate;
use super::plan::{Fault, Plan};

/// A backend that does what another does, except that chosen calls fail, hang, or succeed and say that they
/// failed.
///
/// A fault is taken when a call is made, so the order of calls is the order of faults. Hints are passed on
/// untouched unless it is [`deaf`](Self::deaf).
///
/// ```
/// # use std::sync::Arc;
/// # use gristmill_core::{Backend, BackendErrorKind, Call, EnqueueRequest, NewJob};
/// # use gristmill_testkit::{Fault, FaultyBackend, Operation, block_on};
/// # fn example(backend: Arc<dyn Backend>, job: NewJob) {
/// let faulty = FaultyBackend::new(backend);
/// faulty.script(Operation::Enqueue, [Fault::LoseReply(BackendErrorKind::Unavailable)]);
/// let request = EnqueueRequest::new(vec![job]);
/// assert!(block_on(faulty.enqueue(Call::new(), request.clone())).is_err());
/// // The job is there all the same: the repeat answers `Existing`.
/// assert!(block_on(faulty.enqueue(Call::new(), request)).is_ok());
/// # }
/// ```
#[derive(Debug)]
pub struct FaultyBackend {
    inner: Arc<dyn Backend>,
    faults: Faults,
    hearing: Hearing,
}

/// What becomes of hints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hearing {
    Hears,
    /// None comes, and the backend knows.
    Deaf,
    /// Each is lost, and nothing shows it.
    Loses,
}

/// What happens to calls, shared with the transactions they begin.
#[derive(Debug, Clone, Default)]
struct Faults {
    plan: Arc<Plan>,
    gate: Arc<Gate>,
    /// Jobs whose rows count as locked by a user's open transaction.
    locked: Arc<Mutex<HashSet<JobId>>>,
}

impl Faults {
    fn locked(&self) -> MutexGuard<'_, HashSet<JobId>> {
        self.locked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what was asked for, unless this call's fault says otherwise.
    fn meet<'a, T: Send + 'a>(
        &self,
        operation: Operation,
        act: impl FnOnce() -> Reply<'a, T> + Send + 'a,
    ) -> Reply<'a, T> {
        let fault = self.plan.next(operation);
        let gate = Arc::clone(&self.gate);
        Box::pin(async move {
            match fault {
                None => act().await,
                Some(Fault::Fail(kind)) => Err(failure(operation, kind)),
                Some(Fault::LoseReply(kind)) => {
                    // Whatever the answer was, it is lost.
                    let _ = act().await;
                    Err(failure(operation, kind).maybe_stored())
                }
                Some(Fault::Panic) => panic!("a fault of the backend"),
                Some(Fault::HoldRequest) => {
                    gate.wait().await;
                    act().await
                }
                Some(Fault::HoldReply) => {
                    let reply = act().await;
                    gate.wait().await;
                    reply
                }
            }
        })
    }
}

impl FaultyBackend {
    /// Wraps `inner`. Calls pass through unchanged until a fault is set.
    pub fn new(inner: Arc<dyn Backend>) -> Self {
        Self { inner, faults: Faults::default(), hearing: Hearing::Hears }
    }

    /// The same backend without hints, as if it had lost the connection on which it listens.
    #[must_use]
    pub fn deaf(mut self) -> Self {
        self.hearing = Hearing::Deaf;
        self
    }

    /// The same backend without hints, as if every notification were lost and nothing showed it.
    #[must_use]
    pub fn losing_hints(mut self) -> Self {
        self.hearing = Hearing::Loses;
        self
    }

    /// The next calls of an operation meet these faults, one each, behind those scripted before.
    pub fn script(&self, operation: Operation, faults: impl IntoIterator<Item = Fault>) {
        self.faults.plan.script(operation, faults.into_iter().map(Some));
    }

    /// The next `calls` calls of an operation are spared, behind those scripted before.
    pub fn spare(&self, operation: Operation, calls: usize) {
        self.faults.plan.script(operation, std::iter::repeat_n(None, calls));
    }

    /// Every call that is not scripted meets one of these faults with a chance of `per_mille` in a thousand.
    /// The same seed gives the same faults to the same calls.
    pub fn randomly(&self, seed: u64, per_mille: u32, faults: Vec<Fault>) {
        self.faults.plan.randomly(seed, per_mille, faults);
    }

    /// From now on ends of this job's runs answer [`Busy`](Finished::Busy), as if an open transaction had
    /// locked its rows.
    pub fn lock(&self, job: JobId) {
        self.faults.locked().insert(job);
    }

    /// Ends of the job's runs are stored again.
    pub fn unlock(&self, job: JobId) {
        self.faults.locked().remove(&job);
    }

    /// From now on no call meets a fault.
    pub fn heal(&self) {
        self.faults.plan.clear();
        self.release();
    }

    /// Lets every call go on that is held.
    pub fn release(&self) {
        self.faults.gate.open();
    }

    /// How many calls of an operation were made.
    pub fn calls(&self, operation: Operation) -> u64 {
        self.faults.plan.calls(operation)
    }

    /// How many of them met a fault.
    pub fn faults(&self, operation: Operation) -> u64 {
        self.faults.plan.faults(operation)
    }
}

fn failure(operation: Operation, kind: BackendErrorKind) -> BackendError {
    BackendError::new(kind, format!("{operation:?} met an injected fault"))
}

/// A transaction whose end may meet a fault.
#[derive(Debug)]
struct FaultyTx {
    inner: Box<dyn BackendTx>,
    faults: Faults,
}

impl BackendTx for FaultyTx {
    fn driver(&self) -> &(dyn Any + Send + Sync) {
        self.inner.driver()
    }

    fn driver_mut(&mut self) -> &mut (dyn Any + Send + Sync) {
        self.inner.driver_mut()
    }

    fn finish(
        self: Box<Self>,
        call: Call,
        item: FinishItem,
    ) -> BoxFuture<'static, Result<Finished, BackendError>> {
        let Self { inner, faults } = *self;
        faults.meet(Operation::FinishTx, move || inner.finish(call, item))
    }

    fn roll_back(self: Box<Self>, call: Call) -> BoxFuture<'static, Result<(), BackendError>> {
        self.inner.roll_back(call)
    }
}

impl Wrapper for FaultyBackend {
    fn inner(&self) -> &dyn Backend {
        &*self.inner
    }

    fn around<'a, T: Send + 'a>(
        &'a self,
        operation: Operation,
        act: impl FnOnce() -> Reply<'a, T> + Send + 'a,
    ) -> Reply<'a, T> {
        self.faults.meet(operation, act)
    }

    fn hears_hints(&self) -> bool {
        self.hearing != Hearing::Deaf && self.inner.hears_hints()
    }

    fn subscribe(&self, listener: Arc<dyn Listener>) -> Subscription {
        if self.hearing == Hearing::Hears { self.inner.subscribe(listener) } else { Subscription::new(|| {}) }
    }

    fn begin(&self, call: Call, lease: Lease) -> Reply<'_, Box<dyn BackendTx>> {
        let faults = self.faults.clone();
        let begun = self.around(Operation::Begin, move || self.inner.begin(call, lease));
        Box::pin(async move {
            let inner = begun.await?;
            Ok(Box::new(FaultyTx { inner, faults }) as Box<dyn BackendTx>)
        })
    }

    fn finish(&self, call: Call, mut request: FinishRequest) -> Reply<'_, FinishReply> {
        let locked = self.faults.locked().clone();
        let is_locked: Vec<bool> =
            request.items.iter().map(|item| locked.contains(&item.lease.job)).collect();
        request.items.retain(|item| !locked.contains(&item.lease.job));
        let finished = self.around(Operation::Finish, move || self.inner.finish(call, request));
        Box::pin(async move {
            let mut reply = finished.await?;
            let mut others = reply.items.into_iter();
            let answer = |is_locked| if is_locked { Some(Finished::Busy) } else { others.next() };
            reply.items = is_locked.into_iter().filter_map(answer).collect();
            Ok(reply)
        })
    }
}
