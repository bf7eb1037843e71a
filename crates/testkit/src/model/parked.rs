//! The model's parked jobs, and what a fetch meets.

use gristmill_core::{JobId, JobState, KindSet, QueueWant};

use super::state::{Job, Model, Why};

/// The jobs that a fetch meets, in the order of fetching.
#[derive(Debug, Default)]
pub(super) struct Met {
    pub(super) parked: Vec<JobId>,
    pub(super) available: Vec<JobId>,
    /// Their kinds are not the worker's.
    pub(super) unknown: Vec<JobId>,
}

impl Model {
    /// The jobs that a fetch of this want meets, in order: the parked ones and the available ones that it may
    /// lease, and the available ones that it may not.
    pub(super) fn met(&self, want: &QueueWant, kinds: &KindSet) -> Met {
        if self.paused.contains(&want.queue) {
            return Met::default();
        }
        let wanted = |job: &&Job| {
            let (priority, range) = (job.spec.priority, want.priorities);
            job.spec.queue == want.queue
                && (job.is_parked || job.state == JobState::Available)
                && range.is_none_or(|(first, last)| (first..=last).contains(&priority))
        };
        let mut jobs: Vec<&Job> = self.jobs.values().filter(wanted).collect();
        jobs.sort_by_key(|job| job.position());
        let mut met = Met::default();
        for job in jobs {
            match (kinds.handles(job.spec.kind.as_str()), job.is_parked) {
                (true, true) => met.parked.push(job.id),
                (true, false) => met.available.push(job.id),
                (false, true) => {}
                (false, false) => met.unknown.push(job.id),
            }
        }
        met
    }

    /// A fetch met a job whose kind its worker has no handler for.
    pub(super) fn park(&mut self, id: JobId) {
        let job = self.job(id);
        job.state = JobState::Scheduled;
        job.is_parked = true;
        job.reason = Why::Said(Some("no handler".to_owned()));
    }
}
