//! Fetches as many jobs as there are free slots, one request for all queues, one in flight; more where the queues have
//! more than a fetch takes and the backend serves several side by side.
//!
//! Where the queues have more and jobs end quicker than a fetch takes, it also fetches those that will have a slot when
//! they arrive ([forecast](super::forecast)); whatever is in flight together is bounded by that. They are held in the
//! [reserve](super::reserve). Slow jobs are never leased ahead of a slot.
//!
//! While there is work and room the next fetch leaves at once. Under load it waits a moment for more slots than one, so
//! that a batch is worth its call. With nothing to do it sleeps until a hint, a freed slot or the poll interval.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use gristmill_core::{BackendErrorKind, FetchReply, FetchRequest, FetchedJob, MAX_BATCH_BYTES};
use tokio::time::Instant;

use super::executor;
use super::forecast::{Ahead, Forecast};
use super::incarnation::Incarnation;
use super::plan::{InFlight, Plan};
use super::shared::Shared;
use crate::call::{Trouble, answer};

/// Waiting for more slots never takes longer than this.
const LONGEST_GATHERING: Duration = Duration::from_millis(2);
/// The args that a fetch brings at most, by those of the fetch before.
const FETCHED_BYTES: usize = 4 * MAX_BATCH_BYTES;
/// A store that answers faster than this need not be spared.
const CHEAP_FETCH: Duration = Duration::from_micros(500);

/// The state of the loop; all that must survive it is in [`Shared`].
struct Fetcher {
    shared: Arc<Shared>,
    incarnation: Arc<Incarnation>,
    /// When each lane is looked at although there was no hint.
    look_at: Vec<Instant>,
    /// With which lane the next plan begins, so that none is always last.
    first: usize,
    last_took: Duration,
    /// Of each lane: its last answer left something in its queue.
    is_deep: Vec<bool>,
    forecast: Forecast,
    /// How many fetches the backend serves side by side with profit.
    abreast: usize,
    size: JobSize,
}

/// How large the jobs of the latest fetch were: a fetch ends at bytes as well as at a number of jobs.
#[derive(Debug, Default)]
struct JobSize(usize);

impl JobSize {
    fn learn(&mut self, jobs: &[FetchedJob]) {
        // A few say enough of all.
        let few = jobs.iter().step_by(jobs.len().div_ceil(16).max(1));
        if let Some(size) = few.map(|job| job.spec.args.as_bytes().len()).max() {
            self.0 = size;
        }
    }

    fn batch(&self) -> usize {
        (FETCHED_BYTES / self.0.max(1)).max(1)
    }
}

/// An answer, the plan it is for, and how long it took.
struct Fetched {
    reply: FetchReply,
    plan: Plan,
    took: Duration,
}

/// Runs until the worker stops or the incarnation is gone.
pub(crate) async fn fetch(shared: Arc<Shared>, incarnation: Arc<Incarnation>) {
    let (stopping, gone) = (shared.control.stopping.clone(), incarnation.gone.clone());
    let trouble = Mutex::new(Trouble::new("fetch"));
    let mut fetcher = Fetcher::new(Arc::clone(&shared), Arc::clone(&incarnation));
    let mut in_flight = FuturesUnordered::new();
    loop {
        let has_room = in_flight.len() < fetcher.most();
        tokio::select! {
            biased;
            () = stopping.cancelled() => break,
            () = gone.cancelled() => break,
            Some(fetched) = in_flight.next() => fetcher.take(fetched),
            plan = fetcher.next_plan(), if has_room => {
                fetcher.go_on(in_flight.len() + 1);
                in_flight.push(send(&shared, &incarnation, &trouble, plan));
            }
        }
    }
    // An answer that is on its way is worth waiting for: a stop gives its jobs back.
    while let Some(fetched) = in_flight.next().await {
        fetcher.take(fetched);
    }
}

impl Fetcher {
    fn new(shared: Arc<Shared>, incarnation: Arc<Incarnation>) -> Self {
        let lanes = shared.options.queues.len();
        let look_at = vec![Instant::now() + shared.poll_interval(); lanes];
        let forecast = Forecast::new(&shared.slots, lanes);
        let abreast = shared.backend().fetches_abreast().max(1);
        let (is_deep, last_took) = (vec![false; lanes], Duration::ZERO);
        let size = JobSize::default();
        // What the one before it had still to fetch is not known.
        shared.appetite.wake_all();
        Self { shared, incarnation, look_at, first: 0, last_took, is_deep, forecast, abreast, size }
    }

    /// How many fetches may be in flight.
    fn most(&self) -> usize {
        if self.is_deep.contains(&true) { self.abreast } else { 1 }
    }

    /// After one of `in_flight` fetches was planned: the queues have more than it takes, so the next one need not wait
    /// for its answer.
    fn go_on(&self, in_flight: usize) {
        if in_flight < self.most() {
            (0..self.look_at.len()).for_each(|lane| self.shared.appetite.keep(lane));
        }
    }

    /// Starts what was fetched, or gives it back where nothing is to be started any more.
    fn take(&mut self, fetched: Option<Fetched>) {
        let Some(Fetched { reply, plan, took }) = fetched else { return };
        let is_look = plan.is_look();
        self.note(&reply, is_look);
        if is_look {
            return;
        }
        self.last_took = took;
        self.forecast.fetched(took);
        self.size.learn(&reply.jobs);
        let jobs = plan.assign(reply.jobs);
        let is_over = self.shared.control.stopping.is_cancelled() || self.incarnation.gone.is_cancelled();
        if is_over || self.incarnation.is_fenced() {
            executor::give_back(&self.shared, jobs);
        } else {
            executor::admit(&self.shared, jobs);
        }
    }

    /// Waits until there is something to fetch and room for it.
    ///
    /// # Cancel safety
    /// A plan gives its slots back when it is dropped.
    async fn next_plan(&mut self) -> Plan {
        loop {
            let (shared, now) = (&self.shared, Instant::now());
            let poll_interval = shared.poll_interval();
            if self.look_at.iter().any(|look_at| *look_at <= now) {
                self.is_time(now, poll_interval);
            }
            let shared = &self.shared;
            let may = !shared.control.is_quiet() && !self.incarnation.is_fenced() && !self.is_behind();
            if may && shared.appetite.begin_look() {
                return Plan::look(shared);
            }
            if may && shared.appetite.any() {
                let ahead = self.ahead();
                let capacity = self.shared.slots.limit() + ahead.all;
                if self.shared.slots.used() < capacity {
                    self.gather(capacity).await;
                    self.first = self.first.wrapping_add(1);
                    if let Some(plan) = Plan::make(&self.shared, self.first, &ahead, self.size.batch()) {
                        return plan;
                    }
                }
            }
            self.idle().await;
        }
    }

    /// Lanes that had no hint for a while are all looked at, in one call.
    fn is_time(&mut self, now: Instant, poll_interval: Duration) {
        self.shared.appetite.look();
        self.look_at.fill(now + poll_interval);
    }

    /// More ends wait for the store than a while's worth: fetching more would only lengthen the line.
    fn is_behind(&self) -> bool {
        let shared = &self.shared;
        shared.finishes.backlog() > 2 * shared.slots.limit().max(shared.options.fetch_batch)
    }

    /// How many jobs will end before those of the next fetch are here, less those that wait for a thread: where there
    /// is such a line, slots are not what is short.
    fn ahead(&mut self) -> Ahead {
        let shared = &self.shared;
        let mut ahead = self.forecast.ahead(&shared.slots, shared.options.fetch_batch, &self.is_deep);
        if ahead.all > 0 {
            ahead.less(shared.chunks.unstarted());
        }
        ahead
    }

    /// Under load waits a little for there to be room for a good part of what may be in hand.
    async fn gather(&self, capacity: usize) {
        let slots = &self.shared.slots;
        let enough = slots.limit().div_ceil(4).min(self.shared.options.fetch_batch);
        let few = capacity.saturating_sub(enough);
        if slots.used() <= few {
            return;
        }
        let patience = if !self.shared.reserve.is_empty() || self.shared.chunks.unstarted() > 0 {
            LONGEST_GATHERING
        } else if self.last_took >= CHEAP_FETCH {
            // As long again as the store needs: at worst half its calls are spared at half the speed of one.
            self.last_took.min(LONGEST_GATHERING)
        } else {
            return;
        };
        let _ = tokio::time::timeout(patience, slots.until_fewer(few + 1)).await;
    }

    /// Waits for anything that may change the answer to "is there something to fetch, and room".
    async fn idle(&self) {
        let slots = &self.shared.slots;
        let next_look = self.look_at.iter().min().copied();
        let look = async {
            match next_look {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.shared.appetite.rung() => {}
            () = slots.until_fewer(slots.used()) => {}
            () = look => {}
        }
    }

    /// Which lanes have more, and when the next waiting job is due. A look says only that there may be some: it does
    /// not see their kinds.
    fn note(&mut self, reply: &FetchReply, is_look: bool) {
        let shared = &self.shared;
        let (now, poll_interval) = (Instant::now(), shared.poll_interval());
        let spread = 0.9 + fastrand::f64() / 10.0;
        let look_at = now + poll_interval.mul_f64(spread);
        // A queue may have several lanes, and so several answers: any of them counts for all.
        for queue in &reply.queues {
            for lane in shared.appetite.lanes_of(&queue.queue) {
                self.is_deep[*lane] = false;
                self.look_at[*lane] = look_at;
            }
        }
        for queue in &reply.queues {
            for lane in shared.appetite.lanes_of(&queue.queue) {
                if !queue.exhausted && !queue.paused {
                    self.is_deep[*lane] = !is_look;
                    shared.appetite.keep(*lane);
                }
                if queue.paused {
                    executor::give_back(shared, shared.reserve.take_lane(*lane));
                }
            }
        }
        if let Some(due) = reply.queues.iter().filter_map(|queue| queue.next_due).min() {
            shared.due.at(due);
        }
    }
}

/// Sends the plan until it is answered: a repeat has the same number and gets the same jobs. `None` when there is no
/// answer to wait for any more; what the claim holds is given back by the next renewal.
async fn send(
    shared: &Arc<Shared>,
    incarnation: &Incarnation,
    trouble: &Mutex<Trouble>,
    plan: Plan,
) -> Option<Fetched> {
    let lock = || trouble.lock().unwrap_or_else(PoisonError::into_inner);
    let claim = InFlight::begin(shared).await;
    // What one claim holds may be too much for the usual deadline, and a repeat gets the same jobs.
    let mut deadline = shared.call_deadline();
    loop {
        let sent = Instant::now();
        let request = FetchRequest::new(incarnation.id, claim.id, plan.wants());
        let call = shared.backend().fetch(shared.call().within(deadline), request);
        let error = match answer(deadline, "fetch", call).await {
            Ok(reply) => {
                lock().over();
                claim.granted(reply.jobs.len());
                shared.counters.fetched.add(reply.jobs.len() as u64);
                return Some(Fetched { reply, plan, took: sent.elapsed() });
            }
            Err(error) => error,
        };
        if error.kind() == BackendErrorKind::WorkerGone {
            incarnation.gone.cancel();
            return None;
        }
        if error.kind() == BackendErrorKind::TimedOut {
            deadline = (deadline * 2).min(shared.options.lease.max(shared.call_deadline()));
        }
        let delay = lock().failed(&error);
        tokio::select! {
            () = shared.control.stopping.cancelled() => return None,
            () = incarnation.gone.cancelled() => return None,
            () = tokio::time::sleep(delay) => {}
        }
    }
}
