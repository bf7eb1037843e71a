//! Fetch cursors: each fetch goes on after the jobs that were fetched before.
//!
//! In this module *before* and *after* mean earlier and later in the order of fetching: by due time, then by
//! id.
//!
//! A fetched job leaves a dead entry in the index. Until a vacuum removes it, and while an old snapshot is
//! open none can, every scan from the start steps over all of them again. So each handle (an opened
//! `Postgres` and its clones) remembers, for each queue and priority, the position of the last job it took.
//! `docs/design/fetch.md` draws the life of such a cursor.
//!
//! Jobs also appear before a cursor: by transactions that commit late, by retries, releases and earlier due
//! times. None of them may be missed:
//!
//! * A job that this handle makes available lowers the cursor, also under a fetch that is in flight.
//! * A fetch that finds too few jobs after the cursors looks before them, in the same statement, as long as
//!   that is cheap.
//! * Other fetches rewind by a few seconds, or to the start. Each kind of rewind takes at most a fiftieth
//!   of the time, and comes once a minute at the latest.
//! * If a look from the start was measured to be dear, no fetch looks before the cursors. A task does
//!   ([`look`]).
//!
//! So without load, and without an old snapshot, every fetch sees every job. With one, the cost of a fetch
//! stays the same. A job that another process put before a cursor, and whose notification was lost, is found
//! a little later.

mod look;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gristmill_core::Priority;
use uuid::Uuid;

use self::look::Looks;

/// Queues with cursors at most. One more, and all cursors are forgotten.
const QUEUES: usize = 4_096;
/// Number of priorities. A lane is the index of one, from the first.
const LANES: usize = 21;
/// Fetches that rewind take this part of the time at most: one in 50.
const SHARE: u32 = 50;
/// A rewind comes after this long at the latest.
const AT_THE_LATEST: Duration = Duration::from_secs(60);
/// A fetch that looked at all of a queue in this time may do so again at once. A slower one has a task
/// measure it.
const CHEAP: Duration = Duration::from_millis(3);
/// How far the short rewind goes, in milliseconds.
const BACK_MS: i64 = 5_000;

/// A place in the order of one queue and priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) run_at_ms: i64,
    pub(crate) id: Uuid,
}

impl Position {
    /// Before all jobs.
    pub(crate) const START: Self = Self { run_at_ms: i64::MIN, id: Uuid::nil() };
    /// No job comes after this.
    pub(crate) const END: Self = Self { run_at_ms: i64::MAX, id: Uuid::max() };

    /// The last one before this.
    fn before(self) -> Self {
        match self.id.as_u128().checked_sub(1) {
            Some(id) => Self { id: Uuid::from_u128(id), ..self },
            None if self.run_at_ms == i64::MIN => Self::START,
            None => Self { run_at_ms: self.run_at_ms - 1, id: Uuid::max() },
        }
    }

    fn back(self) -> Self {
        Self { run_at_ms: self.run_at_ms.saturating_sub(BACK_MS), id: Uuid::nil() }
    }
}

/// The cursors of a handle. Locked for moments only, never over an await.
#[derive(Debug, Default)]
pub(crate) struct Cursors(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    queues: HashMap<i32, Queue>,
    /// Number of the latest scan or look.
    last_scan: u64,
}

#[derive(Debug)]
struct Queue {
    positions: [Position; LANES],
    from_start: Pace,
    from_back: Pace,
    /// How long the last fetch took that saw the queue to its end.
    to_the_end: Duration,
    /// Looks beside the fetches.
    looks: Looks,
    /// The fetches and looks in flight.
    scans: Vec<OpenScan>,
}

/// When a rewind is due.
#[derive(Debug, Default)]
struct Pace(Option<Instant>);

impl Pace {
    fn is_due(&self, now: Instant) -> bool {
        self.0.is_none_or(|at| now >= at)
    }

    fn took(&mut self, now: Instant, duration: Duration) {
        self.0 = Some(now + (duration * SHARE).min(AT_THE_LATEST));
    }
}

#[derive(Debug)]
struct OpenScan {
    number: u64,
    /// Upper bounds of the cursors when the fetch ends, by lane: jobs appeared after these while it was in
    /// flight.
    caps: Vec<(usize, Position)>,
}

/// Where a fetch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// At the start of the queue.
    Start,
    /// [`BACK_MS`] before the cursors.
    Back,
    /// At the cursors.
    Position,
}

/// What a fetch found of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// As much as was wanted.
    Enough,
    /// Less than was wanted.
    TooLittle,
    /// The queue is paused, or the fetch was a repeat.
    Unknown,
}

/// A fetch of one queue in flight. Dropped without an [`end`](Self::end) it counts as rolled back.
#[derive(Debug)]
pub(crate) struct Scan<'c> {
    cursors: &'c Cursors,
    queue: i32,
    number: u64,
    /// The first and the last wanted lane.
    lanes: (usize, usize),
    reach: Reach,
    /// The statement looks before the cursors, too, if it finds too few jobs after them.
    looks_before: bool,
    begun: Instant,
    begins: [Position; LANES],
    has_ended: bool,
}

impl Cursors {
    /// Forgets all positions: every fetch begins at the start of its queue.
    pub(crate) fn forget(&self) {
        self.lock().queues.clear();
    }

    /// Lowers the cursor to just before a job that became available. Call it after the commit.
    pub(crate) fn lower(&self, queue: i32, priority: i16, run_at_ms: i64, id: Uuid) {
        let Some(lane) = lane_of(priority) else { return };
        if let Some(queue) = self.lock().queues.get_mut(&queue) {
            queue.lower(lane, Position { run_at_ms, id }.before(), None);
        }
    }

    /// Begins a fetch of the priorities from the first to the last.
    pub(crate) fn begin(&self, queue: i32, (first, last): (Priority, Priority), now: Instant) -> Scan<'_> {
        let mut known = self.lock();
        if known.queues.len() >= QUEUES && !known.queues.contains_key(&queue) {
            known.queues.clear();
        }
        known.last_scan += 1;
        let number = known.last_scan;
        let state = known.queues.entry(queue).or_default();
        state.scans.push(OpenScan { number, caps: Vec::new() });
        let (reach, begins) = state.begins(now);
        let looks_before = state.to_the_end <= CHEAP && !state.looks.is_dear;
        let lanes = (lane(first), lane(last));
        Scan {
            cursors: self,
            queue,
            number,
            lanes,
            reach,
            looks_before,
            begun: now,
            begins,
            has_ended: false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            positions: [Position::START; LANES],
            from_start: Pace::default(),
            from_back: Pace::default(),
            to_the_end: Duration::ZERO,
            looks: Looks::default(),
            scans: Vec::new(),
        }
    }
}

impl Queue {
    fn begins(&self, now: Instant) -> (Reach, [Position; LANES]) {
        if self.looks.is_dear {
            (Reach::Position, self.positions)
        } else if self.from_start.is_due(now) {
            (Reach::Start, [Position::START; LANES])
        } else if self.from_back.is_due(now) {
            (Reach::Back, self.positions.map(Position::back))
        } else {
            (Reach::Position, self.positions)
        }
    }

    /// Lowers a cursor to `to` at most. Fetches in flight, except `by`, cannot advance it beyond `to` when
    /// they end.
    fn lower(&mut self, lane: usize, to: Position, by: Option<u64>) {
        self.positions[lane] = self.positions[lane].min(to);
        for scan in self.scans.iter_mut().filter(|scan| Some(scan.number) != by) {
            match scan.caps.iter_mut().find(|(capped, _)| *capped == lane) {
                Some((_, cap)) => *cap = to.min(*cap),
                None => scan.caps.push((lane, to)),
            }
        }
    }

    /// Takes a fetch out of those in flight.
    fn remove_scan(&mut self, number: u64) -> Option<OpenScan> {
        let place = self.scans.iter().position(|known| known.number == number)?;
        Some(self.scans.swap_remove(place))
    }
}

impl OpenScan {
    fn capped(&self, lane: usize, position: Position) -> Position {
        let cap = self.caps.iter().find(|(capped, _)| *capped == lane);
        cap.map_or(position, |(_, cap)| position.min(*cap))
    }
}

impl Scan<'_> {
    /// The priorities of the fetch, each with the position it begins after.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = (i16, Position)> {
        let (first, last) = self.lanes;
        (first..=last).map(|lane| (priority_of(lane), self.begins[lane]))
    }

    /// The priorities to look at before their cursors, each with the position to stop at.
    pub(crate) fn lanes_before(&self) -> impl Iterator<Item = (i16, Position)> {
        self.lanes().filter(|(_, position)| self.looks_before && *position > Position::START)
    }

    /// Advances the cursors over jobs that were taken but not committed, so that fetches that begin from now
    /// on need not step over them. Does so only for a fetch that began at the cursors. A rollback lowers them
    /// again.
    pub(crate) fn reached(&self, taken: impl Iterator<Item = (i16, Position)>) {
        if self.reach != Reach::Position {
            return;
        }
        let mut known = self.cursors.lock();
        let Some(queue) = known.queues.get_mut(&self.queue) else { return };
        let Some(own) = queue.scans.iter().find(|scan| scan.number == self.number) else { return };
        for (priority, position) in taken {
            let Some(lane) = lane_of(priority) else { continue };
            queue.positions[lane] = queue.positions[lane].max(own.capped(lane, position));
        }
    }

    /// Ends a committed fetch. `taken` holds the last job of each priority that it returned, in the order of
    /// the priorities.
    pub(crate) fn end(mut self, now: Instant, found: Found, taken: &[(i16, Position)]) {
        self.has_ended = true;
        let mut known = self.cursors.lock();
        let Some(queue) = known.queues.get_mut(&self.queue) else { return };
        let Some(ended) = queue.remove_scan(self.number) else { return };
        if found == Found::Unknown {
            return;
        }
        self.advance(queue, &ended, found, taken);
        let took = now.saturating_duration_since(self.begun);
        let saw_all = found == Found::TooLittle && (self.reach == Reach::Start || self.looks_before);
        if saw_all {
            queue.to_the_end = took;
        }
        queue.looks.leaves_dead |= !taken.is_empty();
        let is_slow = took > CHEAP && (saw_all || self.reach != Reach::Position);
        queue.looks.is_wanted |= is_slow && queue.looks.leaves_dead;
        match self.reach {
            // Cheap: the next fetch may do the same.
            _ if saw_all && took <= CHEAP => queue.from_start = Pace::default(),
            Reach::Start => queue.from_start.took(now, took),
            Reach::Back => queue.from_back.took(now, took),
            Reach::Position if saw_all => queue.from_start.took(now, took),
            Reach::Position => {}
        }
    }

    fn advance(&self, queue: &mut Queue, ended: &OpenScan, found: Found, taken: &[(i16, Position)]) {
        let count = taken.len();
        for (place, (priority, last)) in taken.iter().enumerate() {
            let Some(lane) = lane_of(*priority) else { continue };
            // A rewound fetch that filled up before it came to the cursor may have left jobs after where it
            // stopped.
            let stopped = found == Found::Enough && place + 1 == count;
            if self.reach != Reach::Position && stopped && *last < queue.positions[lane] {
                queue.lower(lane, *last, Some(self.number));
            } else {
                queue.positions[lane] = queue.positions[lane].max(ended.capped(lane, *last));
            }
        }
    }
}

impl Drop for Scan<'_> {
    /// Lowers the cursors to where the scan began: the jobs it took may be available again.
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        if let Some(queue) = self.cursors.lock().queues.get_mut(&self.queue) {
            queue.remove_scan(self.number);
            for lane in self.lanes.0..=self.lanes.1 {
                queue.lower(lane, self.begins[lane], None);
            }
        }
    }
}

fn lane(priority: Priority) -> usize {
    lane_of(i16::from(priority.get())).unwrap_or(0)
}

fn lane_of(priority: i16) -> Option<usize> {
    let above = i32::from(priority) - i32::from(Priority::FIRST.get());
    usize::try_from(above).ok().filter(|lane| *lane < LANES)
}

fn priority_of(lane: usize) -> i16 {
    i16::from(Priority::FIRST.get()) + i16::try_from(lane).unwrap_or(0)
}

#[cfg(test)]
mod tests;
