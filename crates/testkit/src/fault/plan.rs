//! Which call fails, and how.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use gristmill_core::{BackendErrorKind, Operation};

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is done, and the answer says so: an error of this kind that is certain to have stored nothing.
    Fail(BackendErrorKind),
    /// Everything is done, but the answer is an error of this kind that may have stored something: the reply
    /// was lost after the commit. The one that finds bugs.
    LoseReply(BackendErrorKind),
    /// Nothing is done until [`release`](crate::FaultyBackend::release); then the call goes on as if nothing
    /// had been.
    HoldRequest,
    /// Everything is done, but the answer does not come until [`release`](crate::FaultyBackend::release).
    HoldReply,
    /// The call panics before anything is done.
    Panic,
}

/// What happens to the calls to come.
#[derive(Default)]
pub(super) struct Plan {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    scripted: BTreeMap<Operation, VecDeque<Option<Fault>>>,
    random: Option<Random>,
    calls: BTreeMap<Operation, u64>,
    faults: BTreeMap<Operation, u64>,
}

struct Random {
    source: fastrand::Rng,
    per_mille: u32,
    faults: Vec<Fault>,
}

impl Plan {
    pub(super) fn script(&self, operation: Operation, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.lock().scripted.entry(operation).or_default().extend(faults);
    }

    pub(super) fn randomly(&self, seed: u64, per_mille: u32, faults: Vec<Fault>) {
        self.lock().random = Some(Random { source: fastrand::Rng::with_seed(seed), per_mille, faults });
    }

    pub(super) fn clear(&self) {
        let mut state = self.lock();
        state.scripted.clear();
        state.random = None;
    }

    /// Counts a call and says what happens to it: what is scripted first, then chance.
    pub(super) fn next(&self, operation: Operation) -> Option<Fault> {
        let mut state = self.lock();
        *state.calls.entry(operation).or_default() += 1;
        let scripted = state.scripted.get_mut(&operation).and_then(VecDeque::pop_front);
        let fault = scripted.unwrap_or_else(|| state.random.as_mut().and_then(Random::draw));
        if fault.is_some() {
            *state.faults.entry(operation).or_default() += 1;
        }
        fault
    }

    pub(super) fn calls(&self, operation: Operation) -> u64 {
        self.lock().calls.get(&operation).copied().unwrap_or(0)
    }

    pub(super) fn faults(&self, operation: Operation) -> u64 {
        self.lock().faults.get(&operation).copied().unwrap_or(0)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Random {
    fn draw(&mut self) -> Option<Fault> {
        if self.source.u32(0..1_000) >= self.per_mille {
            return None;
        }
        self.source.choice(&self.faults).copied()
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Plan")
            .field("scripted", &state.scripted)
            .field("calls", &state.calls)
            .field("faults", &state.faults)
            .finish_non_exhaustive()
    }
}
