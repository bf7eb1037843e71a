//! Looks without touching.

use std::convert::Infallible;
use std::ops::Bound;

use bytes::Bytes;
use gristmill_core::{
    Count, Cursor, Diagnosis, JobEvent, JobFilter, JobId, JobRecord, JobSpec, JobState, ListRequest,
    MAX_BATCH_BYTES, Order, Page, ParkedKind, Priority, QueueRecord, QueueStats, RunFailure, RunRecord,
    StatsReply, StatsRequest, Timestamp, WorkerRecord,
};

use crate::job::Job;
use crate::store::{Queue, Store};

/// Jobs one call looks at, at most, once it has found one, and until then: a page may be short, never slow,
/// and an empty one is not worth its call.
const SCAN_LIMIT: usize = 10_000;
const EMPTY_LIMIT: usize = 1_000_000;

impl Store {
    pub(crate) fn get(&self, ids: &[JobId]) -> Vec<Option<JobRecord>> {
        ids.iter().map(|id| self.by_id.get(id).map(|slot| record(self.job(*slot)))).collect()
    }

    pub(crate) fn list(&self, request: &ListRequest) -> Page<JobRecord> {
        let limit = request.limit.min(ListRequest::MAX_LIMIT);
        let page = self.scan(&request.filter, request.cursor, request.order, limit);
        let records = page.items.into_iter().map(|slot| Ok(record(self.job(slot))));
        let Ok(page) = Page::fill::<Infallible>(records, page.next);
        page
    }

    /// The jobs behind a cursor, in the order of their ids.
    pub(crate) fn behind(&self, cursor: Option<Cursor>) -> impl Iterator<Item = (&JobId, &usize)> {
        let from = cursor.map_or(Bound::Unbounded, |Cursor(id)| Bound::Excluded(id));
        self.by_id.range((from, Bound::Unbounded))
    }

    /// The slots of a page of jobs that match.
    pub(crate) fn scan(
        &self,
        filter: &JobFilter,
        cursor: Option<Cursor>,
        order: Order,
        limit: usize,
    ) -> Page<usize> {
        let mut rows: Box<dyn Iterator<Item = (&JobId, &usize)>> = match (order, cursor) {
            (Order::OldestFirst, cursor) => Box::new(self.behind(cursor)),
            (Order::NewestFirst, None) => Box::new(self.by_id.iter().rev()),
            (Order::NewestFirst, Some(Cursor(id))) => Box::new(self.by_id.range(..id).rev()),
        };
        let mut page = Page { items: Vec::new(), next: None };
        if limit == 0 {
            return page;
        }
        for (looked_at, (id, slot)) in rows.by_ref().enumerate() {
            if matches(filter, self.job(*slot)) {
                page.items.push(*slot);
            }
            let most = if page.items.is_empty() { EMPTY_LIMIT } else { SCAN_LIMIT };
            if page.items.len() >= limit || looked_at + 1 >= most {
                page.next = rows.next().map(|_| Cursor(*id));
                break;
            }
        }
        page
    }

    pub(crate) fn list_runs(&self, id: JobId, limit: usize) -> Vec<RunRecord> {
        let Some(slot) = self.by_id.get(&id) else { return Vec::new() };
        let runs = &self.job(*slot).runs;
        let mut room = MAX_BATCH_BYTES;
        let newest = runs.iter().rev().take(limit);
        let mut records: Vec<RunRecord> = newest.map(|run| run.record(&mut room)).collect();
        records.reverse();
        records
    }

    pub(crate) fn list_events(&self, id: JobId) -> Vec<JobEvent> {
        let notes = self.by_id.get(&id).and_then(|slot| self.job(*slot).notes.as_ref());
        notes.map(|notes| notes.events.iter().cloned().collect()).unwrap_or_default()
    }

    pub(crate) fn checkpoint(&self, id: JobId) -> Option<Bytes> {
        self.job(*self.by_id.get(&id)?).notes.as_ref()?.checkpoint.clone()
    }

    pub(crate) fn list_queues(&self) -> Vec<QueueRecord> {
        self.queues_by_name().map(|queue| queue.record.clone()).collect()
    }

    fn queues_by_name(&self) -> impl Iterator<Item = &Queue> {
        self.queues_by_name.values().map(|index| &self.queues[*index])
    }

    pub(crate) fn list_workers(&self) -> Vec<WorkerRecord> {
        let mut workers: Vec<WorkerRecord> = self
            .living()
            .map(|worker| {
                let mut record = worker.record.clone();
                record.running = worker.claims.values().map(|claim| claim.open as u64).sum();
                record
            })
            .collect();
        workers.sort_by_key(|worker| (worker.started_at, worker.id));
        workers
    }

    pub(crate) fn count(&self, filter: &JobFilter, cap: Option<u64>) -> Count {
        let value = if filter.is_by_place() {
            self.count_by_place(filter)
        } else {
            self.by_id.values().filter(|slot| matches(filter, self.job(**slot))).count() as u64
        };
        Count::up_to(cap, value)
    }

    fn count_by_place(&self, filter: &JobFilter) -> u64 {
        let asked = |queue: &&Queue| filter.queues.is_empty() || filter.queues.contains(&queue.record.name);
        let queues = self.queues.iter().filter(asked);
        let wanted = |state: &JobState| filter.states.is_empty() || filter.states.contains(state);
        let states: Vec<JobState> = JobState::ALL.iter().copied().filter(wanted).collect();
        queues.flat_map(|queue| states.iter().map(|state| queue.counts[state.index()])).sum()
    }

    pub(crate) fn stats(&self, request: StatsRequest, now: Timestamp) -> StatsReply {
        let mut reply = StatsReply::default();
        reply.stale_finishes = self.stale_finishes;
        for queue in self.queues_by_name() {
            let mut stats = QueueStats::new(queue.record.clone());
            stats.counts = queue.counts.map(|count| Count::up_to(request.cap, count));
            let oldest = |line| Priority::all().filter_map(|priority| Queue::first_due(line, priority)).min();
            stats.oldest_available = oldest(&queue.ready).map(|run_at| now.since(run_at));
            stats.parked = queue
                .parked
                .iter()
                .map(|(kind, line)| ParkedKind {
                    kind: kind.clone(),
                    count: Count::up_to(request.cap, line.len() as u64),
                    oldest: oldest(line).map(|run_at| now.since(run_at)).unwrap_or_default(),
                })
                .collect();
            reply.queues.push(stats);
        }
        reply
    }

    pub(crate) fn diagnose(&self, max_jobs: usize) -> Vec<Diagnosis> {
        let room = format!("{} of at most {max_jobs} jobs", self.by_id.len());
        let lasting = "everything ends with this process";
        vec![Diagnosis::fine("room", room), Diagnosis::fine("durability", lasting)]
    }
}

/// The filter's own definition needs a whole record; what tells most jobs apart is looked at first.
fn matches(filter: &JobFilter, job: &Job) -> bool {
    (filter.states.is_empty() || filter.states.contains(&job.state))
        && (filter.queues.is_empty() || filter.queues.contains(&job.spec.queue))
        && filter.matches(&record(job))
}

fn record(job: &Job) -> JobRecord {
    let mut record = JobRecord::new(job.id, JobSpec::clone(&job.spec), job.state, job.run_at, job.created_at);
    let latest = job.runs.last();
    let held = job.lease.as_ref().or(latest.map(|run| &run.held));
    record.attempt = job.attempt;
    record.run = job.run;
    record.crashes = job.crashes;
    record.finished_at = job.finished_at;
    record.attempted_at = held.map(|held| held.fetched_at);
    record.worker = held.map(|held| held.worker);
    record.cancel_requested = job.cancel_requested;
    record.reason = job.reason.as_deref().map(str::to_owned);
    record.output = job.output.as_deref().cloned();
    record.progress = job.notes.as_ref().and_then(|notes| notes.progress);
    let failures = job
        .runs
        .iter()
        .rev()
        .filter_map(|run| RunFailure::of(&run.record(&mut 0)))
        .take(JobRecord::MAX_ERRORS);
    record.errors = failures.collect();
    record.errors.reverse();
    record
}
