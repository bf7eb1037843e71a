//! Group commit: single enqueues that meet share a statement, and with it a write of the server's log.
//!
//! While a statement is under way, calls wait in line; the next statement takes all of them. A call that
//! finds the place free goes at once and alone, unless the last statement was a group: its callers are about
//! to come back, and each of them gets on sooner in one statement than one after the other. A group runs in a
//! task of its own, since it must not end with the patience of one of its callers, only with that of all. Its
//! transaction is whole, so when the server refuses it, nothing was stored, and each of its calls goes alone:
//! a bad one takes only itself down.
//!
//! The lock is held for a few moves and never over an await. A place in flight is a [`Place`]; given up, on
//! whatever way, it starts the next group.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use gristmill_core::{Call, EnqueueReply, Enqueued, MAX_BATCH_BYTES, NewJob, Timestamp};
use tokio::sync::oneshot;

use super::{Item, Stored, items, learn_clock, store, tell_stored};
use crate::call::DEFAULT_DEADLINE;
use crate::error::{Answer, timed_out, unavailable};
use crate::handle::Inner;
use crate::hint_sum::HintSum;

/// Statements for single enqueues under way at a time.
const MOST_IN_FLIGHT: usize = 2;
/// So many jobs in line are worth a statement beside the one under way: with fewer the server's log would
/// only be written more often, for less each time.
const MANY: usize = 100;
/// A group waits for the callers of the one before, which are about to come back, this part of what a
/// statement takes.
const GATHERING: u32 = 16;
/// And no longer than this.
const LONGEST_GATHERING: Duration = Duration::from_micros(500);
/// A larger call gains nothing from company.
const MOST_JOBS_A_CALL: usize = 100;
/// And of so many bytes.
const MOST_BYTES_A_CALL: usize = MAX_BATCH_BYTES / 8;
/// Jobs of one statement at most.
const MOST_JOBS: usize = 1_000;
/// A call that waits longer than this leaves the group and runs alone: a lock may block the statements under
/// way.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// Taken off a deadline, so that a call which was not begun can say so before its deadline passes.
const MARGIN: Duration = Duration::from_millis(2);

/// The calls that wait for their statement.
#[derive(Debug, Default)]
pub(crate) struct Groups(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    in_flight: usize,
    waiting: VecDeque<Waiting>,
    calls: u64,
    /// How many calls the last statement had, and how long it took.
    last_calls: usize,
    last_took: Duration,
}

/// A call in line.
#[derive(Debug)]
struct Waiting {
    call: u64,
    now: Option<Timestamp>,
    jobs: Vec<NewJob>,
    queues: Vec<i32>,
    bytes: usize,
    caller: oneshot::Sender<Turn>,
}

/// What became of a call in line.
#[derive(Debug)]
enum Turn {
    /// Its jobs were stored.
    Stored(EnqueueReply),
    /// The group was refused, or had no connection.
    Alone,
    /// The connection was lost under it.
    Lost,
}

/// A place among the statements under way.
struct Place(Weak<Inner>);

/// How a call gets on.
enum Entered {
    AtOnce(Place),
    InLine(u64, oneshot::Receiver<Turn>),
}

impl Groups {
    /// Stores the jobs of a call, none of which has a unique key.
    ///
    /// # Cancel safety
    /// A call in line that is dropped is not begun.
    pub(super) async fn enqueue(
        &self,
        inner: &Inner,
        call: Call,
        jobs: Vec<&NewJob>,
        queues: Vec<i32>,
    ) -> Answer<EnqueueReply> {
        if jobs.len() > MOST_JOBS_A_CALL || bytes_of(&jobs) > MOST_BYTES_A_CALL {
            return alone(inner, call, &items(&jobs, &queues), None).await;
        }
        let (number, turn) = match self.enter(inner, call, &jobs, &queues) {
            Entered::AtOnce(place) => return alone(inner, call, &items(&jobs, &queues), Some(place)).await,
            Entered::InLine(number, turn) => (number, turn),
        };
        match self.wait(call, number, turn).await? {
            Turn::Stored(reply) => Ok(reply),
            Turn::Alone => alone(inner, call, &items(&jobs, &queues), None).await,
            Turn::Lost => Err(unavailable("the connection to the server was lost").maybe_stored().into()),
        }
    }

    fn enter(&self, inner: &Inner, call: Call, jobs: &[&NewJob], queues: &[i32]) -> Entered {
        let mut state = self.lock();
        if state.in_flight == 0 && state.last_calls < 2 {
            state.in_flight = 1;
            return Entered::AtOnce(Place(Weak::clone(&inner.me)));
        }
        let (caller, turn) = oneshot::channel();
        state.calls += 1;
        let number = state.calls;
        let bytes = bytes_of(jobs);
        let jobs = jobs.iter().copied().cloned().collect();
        let queues = queues.to_vec();
        state.waiting.push_back(Waiting { call: number, now: call.now, jobs, queues, bytes, caller });
        if state.begins() {
            state.in_flight += 1;
            drop(state);
            begin(inner);
        }
        Entered::InLine(number, turn)
    }

    /// Waits in line. When that takes too long, the call leaves the line again, unless it was begun.
    async fn wait(&self, call: Call, number: u64, mut turn: oneshot::Receiver<Turn>) -> Answer<Turn> {
        let deadline = call.deadline.unwrap_or(DEFAULT_DEADLINE).saturating_sub(MARGIN);
        let answered = match tokio::time::timeout(LONGEST_WAIT.min(deadline), &mut turn).await {
            Ok(answered) => answered,
            Err(_) if !self.leave(number) => turn.await,
            Err(_) if deadline <= LONGEST_WAIT => return Err(timed_out().into()),
            Err(_) => return Ok(Turn::Alone),
        };
        // Without an answer the group's task has ended in the middle.
        Ok(answered.unwrap_or(Turn::Lost))
    }

    /// Takes a call out of the line; false when it was begun.
    fn leave(&self, number: u64) -> bool {
        let mut state = self.lock();
        let place = state.waiting.iter().position(|waiting| waiting.call == number);
        place.and_then(|place| state.waiting.remove(place)).is_some()
    }

    /// The next calls that go together: those at the head of the line with the same clock whose callers still
    /// wait.
    fn take(&self) -> Vec<Waiting> {
        let mut state = self.lock();
        let mut group: Vec<Waiting> = Vec::new();
        let (mut jobs, mut bytes) = (0, 0);
        while let Some(next) = state.waiting.pop_front() {
            if next.caller.is_closed() {
                continue;
            }
            jobs += next.jobs.len();
            bytes += next.bytes;
            let is_full = jobs > MOST_JOBS || bytes > MAX_BATCH_BYTES;
            if is_full || group.first().is_some_and(|first| first.now != next.now) {
                state.waiting.push_front(next);
                break;
            }
            group.push(next);
        }
        state.last_calls = group.len();
        group
    }

    /// Waits until the callers of the group before are in line again, for a small part of what that saves.
    async fn gather(&self) {
        let (expected, patience) = {
            let state = self.lock();
            let returning = if state.last_calls < 2 { 0 } else { state.last_calls };
            (state.waiting.len() + returning, (state.last_took / GATHERING).min(LONGEST_GATHERING))
        };
        let since = Instant::now();
        // A timer would wait a millisecond at least.
        while self.lock().waiting.len() < expected && since.elapsed() < patience {
            tokio::task::yield_now().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes_of(jobs: &[&NewJob]) -> usize {
    jobs.iter().map(|job| job.bytes()).sum()
}

impl State {
    /// Whether those in line get a statement now.
    fn begins(&self) -> bool {
        match self.in_flight {
            0 => !self.waiting.is_empty(),
            under_way => under_way < MOST_IN_FLIGHT && self.waiting.len() >= MANY,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(inner) = self.0.upgrade() else { return };
        let mut state = inner.groups.lock();
        state.in_flight -= 1;
        if state.begins() {
            state.in_flight += 1;
            drop(state);
            begin(&inner);
        }
    }
}

/// Starts the next group, for which a place was taken.
fn begin(inner: &Inner) {
    if let Some(shared) = inner.me.upgrade() {
        let place = Place(Weak::clone(&inner.me));
        inner.runtime.spawn(together(shared, place));
    }
}

/// Stores the jobs of one call, whose place others may have when that is done.
async fn alone(inner: &Inner, call: Call, items: &[Item<'_>], place: Option<Place>) -> Answer<EnqueueReply> {
    let mut session = inner.work().await?;
    let stored = store(&mut session, call.now, items).await?;
    drop((session, place));
    learn_clock(inner, call, stored.now);
    let mut hints = HintSum::default();
    tell_stored(&mut hints, stored.now, items, &stored.jobs);
    inner.send_hints(hints);
    Ok(EnqueueReply::new(stored.jobs, stored.durability))
}

/// Stores the jobs of the calls in line. What comes meanwhile is the next group's, which the place starts
/// when it is given up.
async fn together(inner: Arc<Inner>, place: Place) {
    // The connection first: calls that arrive while it is awaited join the group.
    let session = tokio::time::timeout(DEFAULT_DEADLINE, inner.work()).await;
    inner.groups.gather().await;
    let group = inner.groups.take();
    if group.is_empty() {
        return;
    }
    let now = group.first().and_then(|first| first.now);
    let (calls, mut callers): (Vec<_>, Vec<_>) =
        group.into_iter().map(|waiting| ((waiting.jobs, waiting.queues), waiting.caller)).unzip();
    let Ok(Ok(mut session)) = session else { return answer_all(callers, || Turn::Alone) };
    let items: Vec<Item<'_>> =
        calls.iter().flat_map(|(jobs, queues)| jobs.iter().zip(queues.iter().copied())).collect();
    let since = Instant::now();
    let stored = tokio::select! {
        biased;
        stored = tokio::time::timeout(DEFAULT_DEADLINE, store(&mut session, now, &items)) => stored.ok(),
        // On a connection that is dead without a word the place would be held for long, and all who come
        // would wait.
        () = all_have_gone(&mut callers) => None,
    };
    drop(session);
    inner.groups.lock().last_took = since.elapsed();
    match stored {
        Some(Ok(stored)) => {
            let mut hints = HintSum::default();
            tell_stored(&mut hints, stored.now, &items, &stored.jobs);
            inner.send_hints(hints);
            answer_each(&calls, callers, stored);
        }
        Some(Err(fail)) if !fail.leaves_open() => {
            gristmill_core::log!(
                debug,
                ?fail,
                calls = calls.len(),
                "a group was refused; its calls go one by one"
            );
            answer_all(callers, || Turn::Alone);
        }
        Some(Err(_)) | None => answer_all(callers, || Turn::Lost),
    }
    // After the answers: the next group waits for those who come back with another call.
    drop(place);
}

async fn all_have_gone(callers: &mut [oneshot::Sender<Turn>]) {
    for caller in callers {
        caller.closed().await;
    }
}

fn answer_each(calls: &[(Vec<NewJob>, Vec<i32>)], callers: Vec<oneshot::Sender<Turn>>, stored: Stored) {
    let mut replies = stored.jobs.into_iter();
    for ((jobs, _), caller) in calls.iter().zip(callers) {
        let replies: Vec<Enqueued> = replies.by_ref().take(jobs.len()).collect();
        // A caller that has gone has no use for the answer: like a lost reply.
        let _ = caller.send(Turn::Stored(EnqueueReply::new(replies, stored.durability)));
    }
}

fn answer_all(callers: Vec<oneshot::Sender<Turn>>, turn: impl Fn() -> Turn) {
    for caller in callers {
        let _ = caller.send(turn());
    }
}
