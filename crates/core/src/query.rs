//! What the inspection is asked: filters and keyset cursors.

use crate::{JobId, JobRecord, JobState, MAX_BATCH_BYTES, Name, Timestamp, WorkerId};

/// Which jobs are meant. Members that are set must all hold; within a list any one does. An empty filter
/// means every job.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct JobFilter {
    /// One of these ids.
    pub ids: Vec<JobId>,
    /// In one of these states.
    pub states: Vec<JobState>,
    /// In one of these queues.
    pub queues: Vec<Name>,
    /// Of one of these kinds.
    pub kinds: Vec<Name>,
    /// With one of these tags.
    pub tags: Vec<Name>,
    /// Last run by this worker.
    pub worker: Option<WorkerId>,
    /// Stored at or after this instant.
    pub created_from: Option<Timestamp>,
    /// Stored before this instant.
    pub created_before: Option<Timestamp>,
}

impl JobFilter {
    /// Every job.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a state.
    pub fn state(mut self, state: JobState) -> Self {
        self.states.push(state);
        self
    }

    /// Adds a queue.
    pub fn queue(mut self, queue: Name) -> Self {
        self.queues.push(queue);
        self
    }

    /// Adds a kind.
    pub fn kind(mut self, kind: Name) -> Self {
        self.kinds.push(kind);
        self
    }

    /// Adds a tag.
    pub fn tag(mut self, tag: Name) -> Self {
        self.tags.push(tag);
        self
    }

    /// Whether it asks for nothing but states and queues, which a store counts without looking at jobs.
    pub fn is_by_place(&self) -> bool {
        let Self { ids, states: _, queues: _, kinds, tags, worker, created_from, created_before } = self;
        ids.is_empty()
            && kinds.is_empty()
            && tags.is_empty()
            && worker.is_none()
            && created_from.is_none()
            && created_before.is_none()
    }

    /// Whether a job matches: the one definition of what each member means.
    pub fn matches(&self, job: &JobRecord) -> bool {
        fn any<T: PartialEq>(wanted: &[T], value: &T) -> bool {
            wanted.is_empty() || wanted.contains(value)
        }
        any(&self.ids, &job.id)
            && any(&self.states, &job.state)
            && any(&self.queues, &job.spec.queue)
            && any(&self.kinds, &job.spec.kind)
            && (self.tags.is_empty() || self.tags.iter().any(|tag| job.spec.tags.contains(tag)))
            && self.worker.is_none_or(|worker| job.worker == Some(worker))
            && self.created_from.is_none_or(|from| job.created_at >= from)
            && self.created_before.is_none_or(|before| job.created_at < before)
    }
}

/// In which order of ids, that is of enqueueing, a list goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The latest first.
    #[default]
    NewestFirst,
    /// The earliest first.
    OldestFirst,
}

/// Where the next page begins: behind this job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(pub JobId);

/// A page of a list. Its length is bounded by the request. It may be shorter, even empty, although more
/// follows, since a backend bounds the work and the bytes of one call: only `next` says whether it is the
/// last.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<Cursor>,
}

impl Page<JobRecord> {
    /// Takes jobs until they reach [`MAX_BATCH_BYTES`]; the first is taken however large it is. If jobs are
    /// left over, the next page begins behind the last one taken, otherwise at `next`. Reads at most one job
    /// more than it takes.
    ///
    /// # Errors
    /// That of the first job which cannot be read.
    pub fn fill<E>(
        jobs: impl IntoIterator<Item = Result<JobRecord, E>>,
        next: Option<Cursor>,
    ) -> Result<Self, E> {
        let (mut items, mut bytes) = (Vec::<JobRecord>::new(), 0_usize);
        for job in jobs {
            let job = job?;
            if let Some(last) = items.last().filter(|_| bytes >= MAX_BATCH_BYTES) {
                let next = Some(Cursor(last.id));
                return Ok(Self { items, next });
            }
            bytes = bytes.saturating_add(job.bytes());
            items.push(job);
        }
        Ok(Self { items, next })
    }
}

/// A page of jobs, please.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ListRequest {
    /// Which jobs.
    pub filter: JobFilter,
    /// Behind which job to begin.
    pub cursor: Option<Cursor>,
    /// In which order.
    pub order: Order,
    /// How many at most; a backend gives at most [`Self::MAX_LIMIT`]. Zero gives nothing, and no cursor.
    pub limit: usize,
}

impl ListRequest {
    /// The most rows of one page.
    pub const MAX_LIMIT: usize = 1_000;

    /// The newest 50 that match.
    pub fn new(filter: JobFilter) -> Self {
        Self { filter, cursor: None, order: Order::default(), limit: 50 }
    }

    /// At most this many.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Behind this cursor.
    pub fn after(mut self, cursor: Option<Cursor>) -> Self {
        self.cursor = cursor;
        self
    }

    /// In this order.
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Args, IdSource, JobSpec};

    /// A job whose args have about this many bytes.
    fn job(ids: &IdSource, bytes: usize) -> JobRecord {
        let name = |text| Name::new(text).expect("it is one");
        let spec = JobSpec::new(name("kind"), name("queue"), Args::from_stored("x".repeat(bytes)));
        let at = Timestamp::EPOCH;
        JobRecord::new(ids.next(at), spec, JobState::Available, at, at)
    }

    #[test]
    fn a_page_ends_with_the_job_that_makes_it_reach_its_bytes() {
        let (ids, behind) = (IdSource::new(), Some(Cursor(JobId::from_bytes([9; 16]))));
        let third = MAX_BATCH_BYTES / 3;
        let all = MAX_BATCH_BYTES - job(&ids, 0).bytes();
        for (sizes, taken) in [
            (&[] as &[usize], 0),
            (&[third, third], 2),
            (&[third, third, third], 3),
            (&[third, third, third, 1, third], 3),
            (&[MAX_BATCH_BYTES * 2, 1], 1),
            (&[all, 1], 1),
            (&[all - 1, 1], 2),
        ] {
            let jobs: Vec<JobRecord> = sizes.iter().map(|size| job(&ids, *size)).collect();
            let page = Page::fill::<()>(jobs.iter().cloned().map(Ok), behind).expect("all are read");
            assert_eq!(page.items, jobs[..taken]);
            let last = page.items.last().map(|job| Cursor(job.id));
            assert_eq!(page.next, if taken < jobs.len() { last } else { behind });
        }
        assert_eq!(Page::fill([Ok(job(&ids, 1)), Err("broken")], None), Err("broken"));
    }
}
