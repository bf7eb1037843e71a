//! What is asked of the store: lists, counts, workers, queues.

use gristmill_core::{JobFilter, JobId, Order};

use super::Drive;
use crate::fixture::name;
use crate::model::shape::FilterShape;
use crate::model::state::Job;

impl Drive<'_> {
    /// The filter a shape stands for now.
    pub(super) fn filter(&self, shape: &FilterShape) -> JobFilter {
        let jobs: Vec<&Job> = self.model.jobs.values().collect();
        let mut filter = shape.fixed.clone();
        let ids = shape.ids.into_iter().flat_map(|(one, other)| [one, other]);
        filter.ids = ids.filter_map(|pick| pick.of(&self.ids)).collect();
        filter.worker = shape.worker_of.and_then(|pick| pick.of(&jobs)).and_then(latest_worker);
        let stored = |job: &Job| job.created_at;
        filter.created_from = shape.from.and_then(|pick| pick.of(&jobs)).map(stored);
        filter.created_before = shape.before.and_then(|pick| pick.of(&jobs)).map(stored);
        filter
    }

    /// The ids of the jobs that match, by the model's own reading of the filter.
    pub(super) fn matching(&self, filter: &JobFilter) -> Vec<JobId> {
        let matches = |job: &&Job| {
            (filter.ids.is_empty() || filter.ids.contains(&job.id))
                && (filter.states.is_empty() || filter.states.contains(&job.state))
                && (filter.queues.is_empty() || filter.queues.contains(&job.spec.queue))
                && (filter.kinds.is_empty() || filter.kinds.contains(&job.spec.kind))
                && (filter.tags.is_empty() || job.spec.tags.iter().any(|tag| filter.tags.contains(tag)))
                && (filter.worker.is_none() || filter.worker == latest_worker(job))
                && filter.created_from.is_none_or(|from| from <= job.created_at)
                && filter.created_before.is_none_or(|before| job.created_at < before)
        };
        self.model.jobs.values().filter(matches).map(|job| job.id).collect()
    }

    pub(super) fn list(&self, shape: &FilterShape, newest_first: bool, limit: usize) {
        let filter = self.filter(shape);
        let mut expected = self.matching(&filter);
        let order = if newest_first { Order::NewestFirst } else { Order::OldestFirst };
        if newest_first {
            expected.reverse();
        }
        assert_eq!(self.t.list(&filter, order, limit), expected, "the list of {filter:?}");
    }

    pub(super) fn count(&self, shape: &FilterShape, cap: u64) {
        let filter = self.filter(shape);
        let expected = self.matching(&filter).len() as u64;
        assert_eq!(self.t.count(filter.clone()), expected, "the count of {filter:?}");
        let count = self.t.count_up_to(filter, cap);
        assert_eq!(count.value, expected.min(cap), "the count up to {cap}");
        assert!(count.capped == (expected > cap) || expected == cap, "whether {expected} is capped at {cap}");
    }

    pub(super) fn workers(&self) {
        let mut seen = self.t.workers();
        seen.sort_by_key(|record| record.id);
        assert_eq!(seen.len(), self.model.workers.len(), "the workers {seen:?}");
        for (record, (id, known)) in seen.iter().zip(&self.model.workers) {
            assert_eq!((record.id, &record.kinds), (*id, &known.kinds));
            let times = (record.started_at, record.heartbeat_at, record.lease_expires_at);
            assert_eq!(times, (known.started_at, known.heartbeat_at, known.expires_at()), "worker {id}");
            assert_eq!(record.running, self.model.running(*id).count() as u64, "what worker {id} runs");
        }
        let queues = self.t.must(|backend, call| backend.list_queues(call));
        for paused in &self.model.paused {
            let found = queues.iter().find(|queue| queue.name == name(paused.as_str()));
            assert!(found.is_some_and(gristmill_core::QueueRecord::is_paused), "queue {paused}");
        }
    }
}

/// Who runs a job, or ran it last.
fn latest_worker(job: &Job) -> Option<gristmill_core::WorkerId> {
    let latest = job.runs.last().map(|run| run.record.worker);
    job.held.as_ref().map(|held| held.worker).or(latest)
}
