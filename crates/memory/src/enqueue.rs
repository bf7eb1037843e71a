//! Stores jobs.

use gristmill_core::{
    BackendError, BackendErrorKind, Durability, EnqueueReply, Enqueued, ExistingBy, JobId, JobSpec, NewJob,
    Timestamp,
};

use crate::job::Job;
use crate::store::Store;

impl Store {
    pub(crate) fn enqueue(
        &mut self,
        jobs: Vec<NewJob>,
        max_jobs: usize,
        now: Timestamp,
    ) -> Result<EnqueueReply, BackendError> {
        if self.by_id.len() + jobs.len() > max_jobs {
            let message = format!("the store holds {} jobs and takes {max_jobs} at most", self.by_id.len());
            return Err(BackendError::new(BackendErrorKind::Full, message)
                .with_hint("let workers catch up, shorten the retention, or raise the bound"));
        }
        let replies = jobs.into_iter().map(|job| self.enqueue_one(job, now)).collect();
        Ok(EnqueueReply::new(replies, Durability::Process))
    }

    pub(crate) fn enqueue_one(&mut self, new: NewJob, now: Timestamp) -> Enqueued {
        let NewJob { id, when, spec, .. } = new;
        if self.by_id.contains_key(&id) {
            return Enqueued::Existing { id, by: ExistingBy::Id };
        }
        let queue = self.queue_index(&spec.queue);
        if let Some(holder) = self.take_unique(&spec, queue, id) {
            return Enqueued::Existing { id: holder, by: ExistingBy::UniqueKey };
        }
        let at = when.resolve(now);
        self.insert(Job::new(id, spec, queue, at, now));
        Enqueued::Created
    }

    /// Takes a job's unique key, if it has one; another holder's id if it is taken.
    pub(crate) fn take_unique(&mut self, spec: &JobSpec, queue: usize, id: JobId) -> Option<JobId> {
        let key = spec.unique_key.clone()?;
        let holder = *self.unique.entry((queue, key)).or_insert(id);
        (holder != id).then_some(holder)
    }
}
