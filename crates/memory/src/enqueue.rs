//! Stores jobs.

use std::collections::HashSet;

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
        self.check_room(&jobs, None, 0, max_jobs)?;
        let replies = jobs.into_iter().map(|job| self.enqueue_one(job, now)).collect();
        Ok(EnqueueReply::new(replies, Durability::Process))
    }

    /// Whether those of the jobs that would be stored find room. One that is there, by its id or its unique
    /// key, takes none. `ended` is a job that frees its unique key before, `frees` how many jobs go.
    pub(crate) fn check_room(
        &self,
        jobs: &[NewJob],
        ended: Option<JobId>,
        frees: usize,
        max_jobs: usize,
    ) -> Result<(), BackendError> {
        let room = max_jobs.saturating_add(frees).saturating_sub(self.by_id.len());
        if jobs.len() <= room {
            return Ok(());
        }
        let (mut ids, mut keys) = (HashSet::new(), HashSet::new());
        let mut stored = 0;
        for job in jobs {
            let key = job.spec.unique_key.as_ref().map(|key| (&job.spec.queue, key));
            let is_held = key.is_some_and(|(queue, key)| {
                let queue = self.queues_by_name.get(queue);
                let holder = queue.and_then(|queue| self.unique.get(&(*queue, key.clone())));
                holder.is_some_and(|holder| Some(*holder) != ended)
            });
            let is_there = is_held || self.by_id.contains_key(&job.id) || !ids.insert(job.id);
            stored += usize::from(!is_there && key.is_none_or(|key| keys.insert(key)));
        }
        if stored <= room {
            return Ok(());
        }
        let message = format!("the store holds {} jobs and takes {max_jobs} at most", self.by_id.len());
        Err(BackendError::new(BackendErrorKind::Full, message)
            .with_hint("let workers catch up, shorten the retention, or raise the bound"))
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
        let kind = self.kind_number(&spec.kind);
        self.insert(Job::new(id, spec, (queue, kind), at, now));
        Enqueued::Created
    }

    /// Takes a job's unique key, if it has one; another holder's id if it is taken.
    pub(crate) fn take_unique(&mut self, spec: &JobSpec, queue: usize, id: JobId) -> Option<JobId> {
        let key = spec.unique_key.clone()?;
        let holder = *self.unique.entry((queue, key)).or_insert(id);
        (holder != id).then_some(holder)
    }
}
