//! What one fetch asks for, and the units it holds meanwhile.

use std::sync::Arc;

use gristmill_core::{FetchedJob, MAX_BATCH_BYTES, QueueWant};

use super::appetite::Appetite;
use super::forecast::Ahead;
use super::reserve::Reserve;
use crate::run_result::RunResult;
use crate::worker::executor::ready::Ready;
use crate::worker::options::WorkerOptions;

/// The args that a fetch brings at most, by those of the fetch before.
const FETCHED_BYTES: usize = 4 * MAX_BATCH_BYTES;

/// How large the jobs of the latest fetch were: a fetch ends at bytes as well as at a number of jobs.
#[derive(Debug, Default)]
pub(super) struct JobSize(usize);

impl JobSize {
    pub(super) fn learn(&mut self, jobs: &[FetchedJob]) {
        // A few say enough of all.
        let few = jobs.iter().step_by(jobs.len().div_ceil(16).max(1));
        if let Some(size) = few.map(|job| job.spec.args.as_bytes().len()).max() {
            self.0 = size;
        }
    }

    /// How many such jobs one fetch asks for at most.
    pub(super) fn most(&self) -> usize {
        (FETCHED_BYTES / self.0.max(1)).max(1)
    }
}

/// Units taken for a fetch. What is not assigned to a job is free again when the plan is dropped.
#[derive(Debug)]
pub(crate) struct Plan {
    options: Arc<WorkerOptions>,
    reserve: Arc<Reserve>,
    /// Each with its number of units.
    lanes: Vec<(usize, usize)>,
}

impl Plan {
    fn new(options: &Arc<WorkerOptions>, reserve: &Arc<Reserve>, lanes: Vec<(usize, usize)>) -> Self {
        Self { options: options.clone(), reserve: reserve.clone(), lanes }
    }

    /// Takes units for the hungry lanes, beginning with lane `first`: as many as there are free slots, and as
    /// many more as `ahead` says, at most `most`. `None` when there are none.
    pub(crate) fn make(
        options: &Arc<WorkerOptions>,
        reserve: &Arc<Reserve>,
        appetite: &Appetite,
        first: usize,
        ahead: &Ahead,
        most: usize,
    ) -> Option<Self> {
        let count = options.queues.len();
        let mut left = options.fetch_batch.min(most);
        let mut lanes = Vec::with_capacity(count);
        for lane in (0..count).map(|lane| (lane + first) % count) {
            if left == 0 || !appetite.is_hungry(lane) {
                continue;
            }
            let taken = reserve.expect(lane, left, ahead);
            if taken > 0 {
                appetite.clear(lane);
                left -= taken;
                lanes.push((lane, taken));
            }
        }
        (!lanes.is_empty()).then(|| Self::new(options, reserve, lanes))
    }

    /// Looks at all lanes and takes no unit: the answer says which of them have something.
    pub(crate) fn look(options: &Arc<WorkerOptions>, reserve: &Arc<Reserve>) -> Self {
        Self::new(options, reserve, (0..options.queues.len()).map(|lane| (lane, 0)).collect())
    }

    /// Whether it asks for no job.
    pub(crate) fn is_look(&self) -> bool {
        self.lanes.iter().all(|(_, max)| *max == 0)
    }

    pub(crate) fn wants(&self) -> Vec<QueueWant> {
        let want = |(lane, max): &(usize, usize)| {
            let options = &self.options.queues[*lane];
            let mut want = QueueWant::new(options.queue.clone(), *max);
            want.priorities = options.priorities;
            want
        };
        self.lanes.iter().map(want).collect()
    }

    /// Gives each job a unit of the lane it was fetched for; frees the rest. Until they are put into the
    /// reserve the jobs count as running ones. The ends are those of jobs that were not asked for, which hold
    /// no unit: their leases would be renewed with their claim for as long as the worker lives.
    pub(crate) fn assign(mut self, jobs: Vec<FetchedJob>) -> (Vec<Ready>, Vec<RunResult>) {
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
                unwanted.push(RunResult::not_started(Ready { lane: 0, job }));
                continue;
            };
            at = index;
            let (lane, left) = &mut self.lanes[index];
            *left -= 1;
            ready.push(Ready { lane: *lane, job });
        }
        self.reserve.landed(&ready);
        (ready, unwanted)
    }

    fn fits(&self, index: usize, job: &FetchedJob) -> bool {
        let (lane, left) = self.lanes[index];
        let options = &self.options.queues[lane];
        let priority = job.spec.priority;
        left > 0
            && options.queue == job.spec.queue
            && options.priorities.is_none_or(|(from, to)| from <= priority && priority <= to)
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        self.reserve.missed(&self.lanes);
    }
}
