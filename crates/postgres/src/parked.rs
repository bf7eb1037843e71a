//! Parked jobs: which queues have some, and which of them a worker has still to look at.
//!
//! A fetch looks at the parked jobs of a queue before the available ones, and mostly there are none: the look
//! is left out unless something speaks for it. A process hears when a job is parked, by itself or by another
//! process; then each of its workers looks once. Notifications may be lost, so a worker looks also when its
//! last look is [`LOOK_EVERY`] ago.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gristmill_core::{Count, KindSet, Name, ParkedKind, Priority, Timestamp, WorkerId};
use tokio_postgres::Row;

use crate::error::Answer;
use crate::row;
use crate::session::Session;
use crate::statement::sql;

/// A look that nothing speaks for comes after this long.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A look ahead goes through this many jobs for each that a fetch has just parked, and through four times as
/// many as the one before that found nothing else.
const AHEAD: usize = 64;
const FARTHEST: usize = 10_000;
/// Workers that are remembered at most; beyond, all are forgotten and read again.
const WORKERS: usize = 4_096;

/// What a process knows of parked jobs. Locked for moments only, never over an await.
#[derive(Debug, Default)]
pub(crate) struct Parked(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// How often jobs of a queue were parked.
    news: HashMap<i32, u64>,
    /// How far the next look ahead goes, where the one before parked all that it went through.
    ahead: HashMap<i32, usize>,
    workers: HashMap<WorkerId, Worker>,
}

#[derive(Debug, Default)]
struct Worker {
    kinds: Arc<KindSet>,
    looks: HashMap<Line, Look>,
}

/// The jobs of a queue that have one of these priorities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Line {
    pub(crate) queue: i32,
    pub(crate) first: i16,
    pub(crate) last: i16,
}

impl Line {
    /// Whether a job of this queue and priority stands here.
    pub(crate) fn has(self, queue: i32, priority: i16) -> bool {
        self.queue == queue && (self.first..=self.last).contains(&priority)
    }
}

/// A look that found all there was.
#[derive(Debug, Clone, Copy)]
struct Look {
    news: u64,
    at: Instant,
}

/// A look at one line that is due.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DueLook {
    pub(crate) line: Line,
    news: u64,
    begun: Instant,
}

impl Parked {
    /// Jobs of the queue were parked.
    pub(crate) fn add(&self, queue: i32) {
        *self.lock().news.entry(queue).or_default() += 1;
    }

    /// A worker registers. What it has looked at before was for other kinds.
    pub(crate) fn registers(&self, worker: WorkerId, kinds: &[Name]) {
        let worker_is = Worker { kinds: Arc::new(KindSet::new(kinds)), looks: HashMap::new() };
        let mut known = self.lock();
        if known.workers.len() >= WORKERS {
            known.workers.clear();
        }
        known.workers.insert(worker, worker_is);
    }

    pub(crate) fn retires(&self, worker: WorkerId) {
        self.lock().workers.remove(&worker);
    }

    /// The kinds of a worker. One that registered through another process is read; an unknown one has no
    /// leases to get.
    pub(crate) async fn kinds_of(&self, session: &mut Session, worker: WorkerId) -> Answer<Arc<KindSet>> {
        if let Some(known) = self.lock().workers.get(&worker) {
            return Ok(Arc::clone(&known.kinds));
        }
        let row = session.query_opt(sql!("kinds_of_worker"), &[&row::worker_uuid(worker)]).await?;
        if let Some(row) = row {
            self.registers(worker, &gristmill_sql::read_names(row::get(&row, 0)?));
        }
        Ok(self.lock().workers.get(&worker).map(|known| Arc::clone(&known.kinds)).unwrap_or_default())
    }

    /// The lines among these whose parked jobs the worker has to look at; `None` for the others.
    pub(crate) fn due(&self, worker: WorkerId, lines: impl Iterator<Item = Line>) -> Vec<Option<DueLook>> {
        let begun = Instant::now();
        let known = self.lock();
        let looks = known.workers.get(&worker).map(|worker| &worker.looks);
        let due = |line: Line| {
            let news = known.news.get(&line.queue).copied().unwrap_or_default();
            let seen = looks.and_then(|looks| looks.get(&line));
            let is_done = seen.is_some_and(|look| {
                look.news == news && begun.saturating_duration_since(look.at) < LOOK_EVERY
            });
            (!is_done).then_some(DueLook { line, news, begun })
        };
        lines.map(due).collect()
    }

    /// The worker has seen all that was parked in the line when the look began.
    pub(crate) fn looked(&self, worker: WorkerId, look: DueLook) {
        if let Some(known) = self.lock().workers.get_mut(&worker) {
            known.looks.insert(look.line, Look { news: look.news, at: look.begun });
        }
    }

    /// How many jobs the next look ahead in a queue goes through, after a fetch that parked this many.
    pub(crate) fn ahead(&self, queue: i32, parked: usize) -> usize {
        let grown = self.lock().ahead.get(&queue).copied().unwrap_or_default();
        grown.max(AHEAD.saturating_mul(parked)).min(FARTHEST)
    }

    /// A look ahead went through this many jobs, and parked all of them or not.
    pub(crate) fn looked_ahead(&self, queue: i32, jobs: usize, parked_all: bool) {
        let mut known = self.lock();
        if parked_all {
            known.ahead.insert(queue, jobs * 4);
        } else {
            known.ahead.remove(&queue);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A kind that has parked jobs in a queue.
#[derive(Debug)]
pub(crate) struct KindNumbers {
    pub(crate) kind: Name,
    count: u64,
    oldest: Timestamp,
}

impl KindNumbers {
    pub(crate) fn report(self, cap: Option<u64>, now: Timestamp) -> ParkedKind {
        let count = Count::up_to(cap, self.count);
        ParkedKind { kind: self.kind, count, oldest: now.since(self.oldest) }
    }
}

/// The kinds that have parked jobs in these queues, or in all, by the queue's number.
pub(crate) async fn kinds(
    session: &mut Session,
    queues: Option<&[i32]>,
    cap: Option<u64>,
) -> Answer<HashMap<i32, Vec<KindNumbers>>> {
    // One more tells whether there are more.
    let limit = cap.map(|cap| i64::try_from(cap.saturating_add(1)).unwrap_or(i64::MAX));
    let (first, last) = (i32::from(Priority::FIRST.get()), i32::from(Priority::LAST.get()));
    let mut kinds: HashMap<i32, Vec<KindNumbers>> = HashMap::new();
    for row in session.query(sql!("parked_kinds"), &[&queues, &limit, &first, &last]).await? {
        if let Some(known) = read(&row)? {
            kinds.entry(row.try_get(0)?).or_default().push(known);
        }
    }
    Ok(kinds)
}

/// A kind that this version cannot name is not one it can report.
fn read(row: &Row) -> Answer<Option<KindNumbers>> {
    let Ok(kind) = Name::new(row.try_get::<_, &str>(1)?) else { return Ok(None) };
    Ok(Some(KindNumbers { kind, count: row::amount(row.try_get(2)?), oldest: row::timestamp(row, 3)? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(parked: &Parked, worker: WorkerId, queues: &[i32]) -> Vec<DueLook> {
        let lines = queues.iter().map(|queue| Line { queue: *queue, first: -10, last: 10 });
        parked.due(worker, lines).into_iter().flatten().collect()
    }

    fn queues(due: &[DueLook]) -> Vec<i32> {
        due.iter().map(|look| look.line.queue).collect()
    }

    #[test]
    fn a_worker_looks_when_it_registers_and_when_something_is_parked() {
        let (parked, worker) = (Parked::default(), WorkerId::random());
        parked.registers(worker, &[]);
        let first = due(&parked, worker, &[1, 2]);
        assert_eq!(queues(&first), [1, 2]);
        parked.looked(worker, first[0]);
        assert_eq!(queues(&due(&parked, worker, &[1, 2])), [2]);

        // What is parked during a look may not have been seen.
        let second = due(&parked, worker, &[2]);
        parked.add(2);
        parked.looked(worker, second[0]);
        assert_eq!(queues(&due(&parked, worker, &[1, 2])), [2]);

        parked.registers(worker, &[]);
        assert_eq!(queues(&due(&parked, worker, &[1])), [1]);
    }

    #[test]
    fn looks_ahead_reach_farther_while_nothing_else_is_there() {
        let parked = Parked::default();
        let mut reach = Vec::new();
        for _ in 0..6 {
            let jobs = parked.ahead(1, 1);
            reach.push(jobs);
            parked.looked_ahead(1, jobs, true);
        }
        assert_eq!(reach, [64, 256, 1_024, 4_096, 10_000, 10_000]);
        parked.looked_ahead(1, 10_000, false);
        assert_eq!((parked.ahead(1, 1), parked.ahead(1, 1_000)), (64, 10_000));
    }

    #[test]
    fn a_look_is_repeated_after_a_while() {
        let (parked, worker) = (Parked::default(), WorkerId::random());
        parked.registers(worker, &[]);
        let look = due(&parked, worker, &[1])[0];
        let begun = look.begun.checked_sub(LOOK_EVERY).expect("the machine runs longer than that");
        parked.looked(worker, DueLook { begun, ..look });
        assert_eq!(queues(&due(&parked, worker, &[1])), [1]);
    }
}
