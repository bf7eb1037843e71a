//! One fetch: what it asks for, and the units and the claim number it holds meanwhile.

use std::sync::Arc;

use gristmill_core::{ClaimId, FetchedJob, QueueWant};

use super::forecast::Ahead;
use super::ready::Ready;
use super::shared::Shared;
use crate::ended::Ended;

/// Units taken for a fetch. What is not assigned to a job is free again when the plan is dropped.
#[derive(Debug)]
pub(crate) struct Plan {
    shared: Arc<Shared>,
    lanes: Vec<(usize, usize)>,
}

impl Plan {
    /// Takes units for the hungry lanes, beginning with lane `first`: as many as there are free slots, and as many more
    /// as `ahead` says, at most `most`. `None` when there are none.
    pub(crate) fn make(shared: &Arc<Shared>, first: usize, ahead: &Ahead, most: usize) -> Option<Self> {
        let count = shared.options.queues.len();
        let mut left = shared.options.fetch_batch.min(most);
        let mut lanes = Vec::with_capacity(count);
        for lane in (0..count).map(|lane| (lane + first) % count) {
            if left == 0 || !shared.appetite.is_hungry(lane) {
                continue;
            }
            let taken = shared.reserve.expect(&shared.slots, lane, left, ahead);
            if taken > 0 {
                shared.appetite.begin(lane);
                left -= taken;
                lanes.push((lane, taken));
            }
        }
        (!lanes.is_empty()).then(|| Self { shared: shared.clone(), lanes })
    }

    /// Looks at all lanes and takes no unit: the answer says which of them have something.
    pub(crate) fn look(shared: &Arc<Shared>) -> Self {
        let lanes = (0..shared.options.queues.len()).map(|lane| (lane, 0)).collect();
        Self { shared: shared.clone(), lanes }
    }

    /// Whether it asks for no job.
    pub(crate) fn is_look(&self) -> bool {
        self.lanes.iter().all(|(_, max)| *max == 0)
    }

    pub(crate) fn wants(&self) -> Vec<QueueWant> {
        let want = |(lane, max): &(usize, usize)| {
            let options = &self.shared.options.queues[*lane];
            let mut want = QueueWant::new(options.queue.clone(), *max);
            want.priorities = options.priorities;
            want
        };
        self.lanes.iter().map(want).collect()
    }

    /// Gives each job a unit of the lane it was fetched for; frees the rest. Until they are put into the reserve the
    /// jobs count as running ones. A job that nobody asked for is given back: its lease would be renewed with its claim
    /// for as long as the worker lives.
    pub(crate) fn assign(mut self, jobs: Vec<FetchedJob>) -> Vec<Ready> {
        let mut unwanted = Vec::new();
        let mut ready = Vec::with_capacity(jobs.len());
        let mut at = 0;
        for job in jobs {
            // Jobs come lane by lane, so the search nearly always ends at once.
            let found = (0..self.lanes.len())
                .map(|step| (at + step) % self.lanes.len())
                .find(|index| self.fits(*index, &job));
            let Some(index) = found else {
                gristmill_core::log!(
                    error,
                    name: "unwanted_job", target: "gristmill::worker", job = %job.lease.job,
                    "the backend leased a job that was not asked for; it is given back"
                );
                unwanted.push(Ended::not_started(Ready { lane: 0, job }));
                continue;
            };
            at = index;
            let (lane, left) = &mut self.lanes[index];
            *left -= 1;
            ready.push(Ready { lane: *lane, job });
        }
        if !unwanted.is_empty() {
            self.shared.finishes.push_all(unwanted);
        }
        self.shared.reserve.landed(&ready);
        ready
    }

    fn fits(&self, index: usize, job: &FetchedJob) -> bool {
        let (lane, left) = self.lanes[index];
        let options = &self.shared.options.queues[lane];
        let priority = job.spec.priority;
        left > 0
            && options.queue == job.spec.queue
            && options.priorities.is_none_or(|(from, to)| from <= priority && priority <= to)
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        self.shared.reserve.missed(&self.shared.slots, &self.lanes);
    }
}

/// A claim number whose fetch is in flight; forgotten when it is dropped without an answer.
#[derive(Debug)]
pub(crate) struct InFlight<'a> {
    pub(crate) id: ClaimId,
    shared: &'a Shared,
    answered: bool,
}

impl<'a> InFlight<'a> {
    pub(crate) async fn begin(shared: &'a Shared) -> Self {
        Self { id: shared.claims.begin().await, shared, answered: false }
    }

    pub(crate) fn granted(mut self, jobs: usize) {
        self.answered = true;
        self.shared.claims.granted(self.id, jobs);
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.shared.claims.forget(self.id);
            // The sooner a renewal leaves it out, the sooner its jobs are back.
            self.shared.pulse.notify_one();
        }
    }
}
