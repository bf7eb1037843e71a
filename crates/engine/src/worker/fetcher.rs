//! Fetches as many jobs as there are free slots, one request for all queues, one in flight; more where the
//! queues have more than a fetch takes and the backend serves several side by side.
//!
//! Where the queues have more and jobs end quicker than a fetch takes, it also fetches those that will have a
//! slot when they arrive ([forecast]); whatever is in flight together is bounded by that.
//! They are held in the [reserve]. Slow jobs are never leased ahead of a slot.
//!
//! While there is work and room the next fetch leaves at once. Under load it waits a moment for several
//! slots. With nothing to do it sleeps until a hint, a freed slot or the poll interval.

pub(crate) mod appetite;
mod fetch_call;
mod forecast;
mod lanes;
mod plan;
pub(crate) mod reserve;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use gristmill_core::FetchReply;
use tokio::sync::Notify;

use super::executor::Executor;
use super::life::control::Control;
use super::life::incarnation::Incarnation;
use super::maintenance::due::Due;
use super::options::WorkerOptions;
use super::store::Store;
use crate::call::Trouble;
use crate::claims::Claims;
use crate::report::Counters;
use appetite::Appetite;
use fetch_call::{FetchCalls, Fetched};
use forecast::{Ahead, Forecast};
use lanes::Lanes;
use plan::{JobSize, Plan};
use reserve::Reserve;

/// Waiting for more slots never takes longer than this.
const LONGEST_GATHERING: Duration = Duration::from_millis(2);
/// A store that answers faster than this need not be spared.
const CHEAP_FETCH: Duration = Duration::from_micros(500);

/// What fetching uses of a worker. What must survive a panic of the loop is behind these.
#[derive(Debug, Clone)]
pub(crate) struct FetchLoop {
    pub(super) store: Store,
    pub(super) options: Arc<WorkerOptions>,
    pub(super) control: Arc<Control>,
    pub(super) appetite: Arc<Appetite>,
    pub(super) reserve: Arc<Reserve>,
    pub(super) executor: Arc<Executor>,
    pub(super) claims: Arc<Claims>,
    pub(super) pulse: Arc<Notify>,
    pub(super) due: Arc<Due>,
    pub(super) counters: Arc<Counters>,
}

impl FetchLoop {
    /// Runs until the worker stops or the incarnation is gone.
    pub(crate) async fn run(self, incarnation: Arc<Incarnation>) {
        let (stopping, gone) = (&self.control.stopping, &incarnation.gone);
        let calls = FetchCalls {
            store: &self.store,
            claims: &self.claims,
            pulse: &self.pulse,
            counters: &self.counters,
            stopping,
            incarnation: &incarnation,
            lease: self.options.lease,
            trouble: Mutex::new(Trouble::new("fetch")),
        };
        let mut fetcher = Fetcher::new(&self, &incarnation);
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
                    in_flight.push(calls.send(plan));
                }
            }
        }
        // An answer that is on its way is worth waiting for: a stop gives its jobs back.
        while let Some(fetched) = in_flight.next().await {
            fetcher.take(fetched);
        }
    }
}

/// The state of the loop.
struct Fetcher<'a> {
    with: &'a FetchLoop,
    incarnation: &'a Incarnation,
    lanes: Lanes,
    /// With which lane the next plan begins, so that none is always last.
    first: usize,
    last_took: Duration,
    forecast: Forecast,
    /// How many fetches the backend serves side by side with profit.
    abreast: usize,
    size: JobSize,
}

impl<'a> Fetcher<'a> {
    fn new(with: &'a FetchLoop, incarnation: &'a Incarnation) -> Self {
        let count = with.options.queues.len();
        // What the one before it had still to fetch is not known.
        with.appetite.wake_all();
        Self {
            with,
            incarnation,
            lanes: Lanes::new(count, with.store.poll_interval()),
            first: 0,
            last_took: Duration::ZERO,
            forecast: Forecast::new(with.reserve.slots(), count),
            abreast: with.store.backend().fetches_abreast().max(1),
            size: JobSize::default(),
        }
    }

    /// How many fetches may be in flight.
    fn most(&self) -> usize {
        if self.lanes.any_is_deep() { self.abreast } else { 1 }
    }

    /// After one of `in_flight` fetches was planned: the queues have more than it takes, so the next one need
    /// not wait for its answer.
    fn go_on(&self, in_flight: usize) {
        if in_flight < self.most() {
            (0..self.lanes.deep().len()).for_each(|lane| self.with.appetite.mark_hungry(lane));
        }
    }

    /// Starts what was fetched, or gives it back where nothing is to be started any more.
    fn take(&mut self, fetched: Option<Fetched>) {
        let Some(Fetched { reply, plan, took }) = fetched else { return };
        let FetchLoop { executor, control, .. } = self.with;
        let is_look = plan.is_look();
        self.note(&reply, is_look);
        if is_look {
            return;
        }
        self.last_took = took;
        self.forecast.fetched(took);
        self.size.learn(&reply.jobs);
        let (jobs, unwanted) = plan.assign(reply.jobs);
        if !unwanted.is_empty() {
            executor.finishes.push_all(unwanted);
        }
        let is_over = control.stopping.is_cancelled() || self.incarnation.gone.is_cancelled();
        if is_over || self.incarnation.is_fenced() {
            executor.give_back(jobs);
        } else {
            executor.admit(jobs);
        }
    }

    /// Waits until there is something to fetch and room for it.
    ///
    /// # Cancel safety
    /// A plan gives its slots back when it is dropped.
    async fn next_plan(&mut self) -> Plan {
        let FetchLoop { store, options, control, appetite, reserve, .. } = self.with;
        loop {
            self.lanes.look(appetite, store.poll_interval());
            let may = !control.is_quiet() && !self.incarnation.is_fenced() && !self.is_behind();
            if may && appetite.begin_look() {
                return Plan::look(options, reserve);
            }
            if may && appetite.any() {
                let ahead = self.ahead();
                let capacity = reserve.slots().limit() + ahead.all;
                if reserve.slots().used() < capacity {
                    self.gather(capacity).await;
                    self.first = self.first.wrapping_add(1);
                    let most = self.size.most();
                    if let Some(plan) = Plan::make(options, reserve, appetite, self.first, &ahead, most) {
                        return plan;
                    }
                }
            }
            self.idle().await;
        }
    }

    /// More ends wait for the store than a while's worth: fetching more would only lengthen the line.
    fn is_behind(&self) -> bool {
        let FetchLoop { executor, reserve, options, .. } = self.with;
        executor.finishes.backlog() > 2 * reserve.slots().limit().max(options.fetch_batch)
    }

    /// How many jobs will end before those of the next fetch are here, less those that wait for a thread:
    /// where there is such a line, slots are not what is short.
    fn ahead(&mut self) -> Ahead {
        let FetchLoop { executor, reserve, options, .. } = self.with;
        let mut ahead = self.forecast.ahead(reserve.slots(), options.fetch_batch, self.lanes.deep());
        if ahead.all > 0 {
            ahead.less(executor.chunks.unstarted());
        }
        ahead
    }

    /// Under load waits a little for there to be room for a good part of what may be in hand.
    async fn gather(&self, capacity: usize) {
        let FetchLoop { executor, reserve, options, .. } = self.with;
        let slots = reserve.slots();
        let enough = slots.limit().div_ceil(4).min(options.fetch_batch);
        let few = capacity.saturating_sub(enough);
        if slots.used() <= few {
            return;
        }
        let patience = if !reserve.is_empty() || executor.chunks.unstarted() > 0 {
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
        let slots = self.with.reserve.slots();
        let next_look = self.lanes.next_look();
        let look = async {
            match next_look {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.with.appetite.rung() => {}
            () = slots.until_fewer(slots.used()) => {}
            () = look => {}
        }
    }

    /// Which lanes have more, and when the next waiting job is due.
    fn note(&mut self, reply: &FetchReply, is_look: bool) {
        let FetchLoop { store, appetite, reserve, executor, due, .. } = self.with;
        for lane in self.lanes.note(reply, is_look, appetite, store.poll_interval()) {
            executor.give_back(reserve.take_lane(lane));
        }
        if let Some(next) = reply.queues.iter().filter_map(|queue| queue.next_due).min() {
            due.at(next);
        }
    }
}
