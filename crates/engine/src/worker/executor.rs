//! Runs fetched jobs.
//!
//! A batch is cut into chunks, one task each. A job of a quick kind is polled once in its chunk's task, and most end
//! there: no task, no timer, no entry in the registry. What is left over after that poll, and every job of another
//! kind, gets a task of its own. Ends are handed to the completer many at once.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use gristmill_core::{ClaimId, Event, EventKind, Timestamp, dispose};
use tokio::runtime::Handle;

use super::attempt;
use super::chunk::Chunk;
use super::driven::{self, Driven};
use super::pace::Kind;
use super::ready::Ready;
use super::shared::Shared;
use crate::call::later;
use crate::ended::Ended;
use crate::handler::route::Start;
use crate::{Attempted, Client, JobContext};

/// A task of its own is worth it for this many jobs at least.
const SMALLEST_CHUNK: usize = 64;
/// A chunk hands over its ends, and lets other tasks run, after this many jobs or this time.
const FLUSH_EVERY: usize = 128;
const FLUSH_AFTER: Duration = Duration::from_millis(1);

/// Starts a batch.
pub(crate) fn start(shared: &Arc<Shared>, mut jobs: Vec<Ready>) {
    if jobs.is_empty() {
        return;
    }
    let threads = shared.runtime().metrics().num_workers();
    let chunks = jobs.len().div_ceil(SMALLEST_CHUNK).min(threads).max(1);
    let length = jobs.len().div_ceil(chunks);
    while jobs.len() > length {
        let rest = jobs.split_off(jobs.len() - length);
        spawn_chunk(shared, rest);
    }
    spawn_chunk(shared, jobs);
}

/// Starts of a fetched batch what may run; the rest waits for slots.
pub(crate) fn admit(shared: &Arc<Shared>, jobs: Vec<Ready>) {
    start(shared, shared.reserve.pass(&shared.slots, jobs));
}

/// Gives back jobs that have not started. Those of a claim that is lost only free their slots: the store would count
/// them as stale.
pub(crate) fn give_back(shared: &Arc<Shared>, jobs: Vec<Ready>) {
    let (held, lost): (Vec<_>, Vec<_>) =
        jobs.into_iter().partition(|ready| shared.claims.holds(ready.job.lease.claim));
    for ready in lost {
        free(shared, ready.lane, 1);
    }
    hand_over(shared, held.into_iter().map(Ended::not_started).collect());
}

/// Gives back everything that has not started.
pub(crate) fn give_back_unstarted(shared: &Arc<Shared>) {
    // First what waits for slots, so that none of it starts on those that are freed here.
    let mut jobs = shared.reserve.take_all();
    jobs.extend(shared.chunks.take_unstarted());
    give_back(shared, jobs);
}

/// Frees the slots of what has not started of claims that are lost.
pub(crate) fn give_back_unstarted_of(shared: &Arc<Shared>, claims: &[ClaimId]) {
    let mut jobs = shared.reserve.take_of(claims);
    jobs.extend(shared.chunks.take_unstarted_of(claims));
    give_back(shared, jobs);
}

/// Lets another task run what waits behind a handler that does not yield, and gives back what waits for slots in vain.
pub(crate) fn free_stuck(shared: &Arc<Shared>) {
    let (ended, rest) = shared.chunks.take_stuck();
    hand_over(shared, ended);
    start(shared, rest);
    give_back(shared, shared.reserve.take_idle());
}

/// Ends go to the completer; then their slots are free. In this order, so that an empty worker has nothing left to
/// record.
pub(crate) fn hand_over(shared: &Arc<Shared>, ended: Vec<Ended>) {
    let Some(first) = ended.first().map(|ended| ended.lane) else { return };
    let mut others: Vec<usize> = Vec::new();
    others.extend(ended.iter().map(|ended| ended.lane).filter(|lane| *lane != first));
    let count = ended.len() - others.len();
    shared.finishes.push_all(ended);
    free(shared, first, count);
    for lane in others {
        free(shared, lane, 1);
    }
}

/// Frees slots, and starts on them what waits for some.
pub(crate) fn free(shared: &Arc<Shared>, lane: usize, count: usize) {
    shared.slots.release(lane, count);
    if shared.reserve.is_empty() {
        return;
    }
    // A task that is dropped with its runtime, or after it, cannot start another.
    if shared.control.stopping.is_cancelled() || Handle::try_current().is_err() {
        give_back(shared, shared.reserve.take_all());
    } else {
        start(shared, shared.reserve.start(&shared.slots));
    }
}

fn spawn_chunk(shared: &Arc<Shared>, jobs: Vec<Ready>) {
    let open = Open { chunk: shared.chunks.open(jobs), shared: shared.clone() };
    shared.spawn(async move { run_chunk(&open).await });
}

/// A chunk whose task runs; whatever happens to the task, nothing of the chunk is lost.
struct Open {
    chunk: Arc<Chunk>,
    shared: Arc<Shared>,
}

impl Drop for Open {
    fn drop(&mut self) {
        hand_over(&self.shared, self.chunk.take_ended());
        self.shared.chunks.close(&self.chunk);
        let mut rest = self.chunk.take_rest();
        if !rest.is_empty() {
            // The runtime drops its tasks, new ones at once: starting others would go as deep as there are some.
            rest.extend(self.shared.reserve.take_all());
        }
        give_back(&self.shared, rest);
        // The fetcher may have waited for the local work to run out.
        self.shared.slots.nudge();
    }
}

async fn run_chunk(open: &Open) {
    let Open { chunk, shared } = open;
    let mut clock = Stopwatch::start(shared);
    let mut known: Option<Local> = None;
    let client = Arc::new(shared.client.clone());
    let (mut flushed, mut since) = (clock.now, 0);
    let mut previous = None;
    while let Some(ready) = chunk.advance(previous.take()) {
        let same = known.as_ref().is_some_and(|local| local.kind.name == ready.job.spec.kind);
        if !same {
            let kind = shared.kinds.find(&ready.job.spec.kind);
            known = kind.map(|kind| Local {
                kind: kind.clone(),
                start: kind.route.start.fork(),
                client: client.clone(),
            });
        }
        match &known {
            None => previous = Some(no_handler(shared, ready)),
            Some(local) if local.kind.is_quick() => previous = in_place(shared, local, ready, &mut clock),
            Some(local) => in_a_task(shared, local, ready),
        }
        since += 1;
        let spent = !tokio::task::coop::has_budget_remaining();
        if spent || since >= FLUSH_EVERY || clock.now.duration_since(flushed) >= FLUSH_AFTER {
            let mut ended = chunk.take_ended();
            ended.extend(previous.take());
            hand_over(shared, ended);
            tokio::task::yield_now().await;
            (flushed, since) = (clock.tick(), 0);
        }
    }
}

/// What the jobs of a chunk that are of one kind have in common, with counts of owners that no other thread changes.
struct Local {
    kind: Arc<Kind>,
    start: Box<dyn Start>,
    client: Arc<Client>,
}

/// One reading of the clock a job: the end of one is the start of the next.
struct Stopwatch {
    base: Instant,
    base_at: Timestamp,
    now: Instant,
}

impl Stopwatch {
    fn start(shared: &Shared) -> Self {
        let now = Instant::now();
        Self { base: now, base_at: shared.now(), now }
    }

    fn tick(&mut self) -> Instant {
        self.now = Instant::now();
        self.now
    }

    fn timestamp(&self) -> Timestamp {
        self.base_at + self.now.duration_since(self.base)
    }
}

fn no_handler(shared: &Shared, ready: Ready) -> Ended {
    shared.kinds.warn_unknown(&ready.job.spec.kind);
    Ended::no_handler(ready)
}

/// Makes the context of an attempt.
fn context(
    shared: &Shared,
    client: &Arc<Client>,
    ready: Ready,
    started_at: Timestamp,
) -> (usize, JobContext) {
    let Ready { lane, job } = ready;
    let timeout = job.spec.timeout.or(shared.options.timeout);
    let deadline = timeout.map(later);
    (lane, JobContext::new(job, client.clone(), started_at, deadline))
}

/// Tells the hooks that an attempt starts.
fn tell_start(shared: &Shared, context: &JobContext) {
    if !shared.hooks.is_empty() {
        let mut event = Event::new(EventKind::Started, context.id());
        event.job_kind = Some(context.kind().clone());
        event.queue = Some(context.queue().clone());
        event.attempt = Some(context.attempt());
        shared.hooks.emit(&event);
    }
}

/// An attempt between its start and its end in the task of its chunk. Should anything unwind in between, the run is
/// handed over with what its handler said, or given back.
struct InHand<'a> {
    shared: &'a Arc<Shared>,
    kind: &'a Kind,
    lane: usize,
    /// `None` once it has passed on.
    context: Option<JobContext>,
    said: Option<Attempted>,
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        let Some(context) = self.context.take() else { return };
        let delay = self.kind.route.delay.as_ref();
        let ended = match self.said.take() {
            Some(attempted) => Ended::of(self.lane, &context, attempted, delay),
            None => Ended::dropped(self.lane, &context, None, delay),
        };
        hand_over(self.shared, vec![ended]);
    }
}

/// One poll in this task; a job that is not ended by it moves to a task of its own.
fn in_place(shared: &Arc<Shared>, local: &Local, ready: Ready, clock: &mut Stopwatch) -> Option<Ended> {
    let Local { kind, start, client } = local;
    let (lane, context) = context(shared, client, ready, clock.timestamp());
    let given = context.clone();
    let mut in_hand = InHand { shared, kind, lane, context: Some(context), said: None };
    tell_start(shared, &given);
    let began = clock.now;
    let mut going_on = None;
    match attempt::begin(&**start, given) {
        Err(attempted) => in_hand.said = Some(attempted),
        // Nobody need be woken: the task it moves to polls it again at once.
        Ok(mut attempting) => match attempt::poll(&mut attempting, &mut Context::from_waker(Waker::noop())) {
            Poll::Ready(attempted) => {
                in_hand.said = Some(attempted);
                dispose(attempting);
            }
            Poll::Pending => going_on = Some(attempting),
        },
    }
    kind.pace.observe(clock.tick().duration_since(began), going_on.is_none());
    let said = in_hand.said.take();
    let context = in_hand.context.take().expect("only its end takes it");
    match (said, going_on) {
        (Some(attempted), _) if context.has_more_to_store() => {
            driven::spawn(shared, Driven::ended(shared, kind, lane, context, attempted));
            None
        }
        (Some(attempted), _) => Some(Ended::of(lane, &context, attempted, kind.route.delay.as_ref())),
        (None, Some(attempting)) => {
            driven::spawn(shared, Driven::going_on(shared, kind, lane, context, attempting));
            None
        }
        (None, None) => unreachable!("an attempt has ended or goes on"),
    }
}

fn in_a_task(shared: &Arc<Shared>, local: &Local, ready: Ready) {
    let (lane, context) = context(shared, &local.client, ready, shared.now());
    context.is_watched_by(&shared.at_work);
    let driven = Driven::new(shared, &local.kind, lane, context.clone());
    tell_start(shared, &context);
    driven::spawn(shared, driven);
}
