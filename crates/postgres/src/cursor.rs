//! Where fetches go on: behind the jobs that were fetched before.
//!
//! A fetched job leaves a dead entry in the index. Until a vacuum removes it, and while an old snapshot is open none
//! can, every scan from the start steps over all of them again. So each process remembers, for each queue and priority,
//! the last position it took. Jobs land behind a position, too: by transactions that commit late, by retries, releases
//! and earlier due times. None of them may be missed:
//!
//! * What this process puts back lowers the position, also under a fetch that is in flight.
//! * A fetch that finds too little behind the positions looks at what is before them, in the same statement, as long as
//!   that is cheap.
//! * All others go back a few seconds, and to the start, each as often as costs a fiftieth of the time at most, and
//!   once a minute at least.
//! * Where a look from the start was measured to be dear, no fetch looks back: a task does so beside them
//!   ([`look`]).
//!
//! So without load, and without an old snapshot, every fetch sees every job. With one the cost of a fetch stays the
//! same, and what another process put behind a position without being heard is found a little later.

mod look;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gristmill_core::Priority;
use uuid::Uuid;

use self::look::Looks;

/// Queues that have positions at most; beyond, all are forgotten.
const QUEUES: usize = 4_096;
/// One lane a priority.
const LANES: usize = 21;
/// A look back takes this part of the time at most.
const SHARE: u32 = 50;
/// A look back comes after this long at the latest.
const AT_THE_LATEST: Duration = Duration::from_secs(60);
/// A look at all of a queue that takes no longer need not be spared.
const CHEAP: Duration = Duration::from_millis(3);
/// How far the short look back goes, in milliseconds.
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

/// The positions of a process. Locked for moments only, never over an await.
#[derive(Debug, Default)]
pub(crate) struct Cursors(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    queues: HashMap<i32, Queue>,
    scans: u64,
}

#[derive(Debug)]
struct Queue {
    positions: [Position; LANES],
    from_start: Pace,
    from_back: Pace,
    /// How long it took the last time to find that there is no more.
    to_the_end: Duration,
    /// Looks beside the fetches.
    looks: Looks,
    /// The fetches and looks in flight.
    scans: Vec<InFlight>,
}

/// When a look back is due.
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
struct InFlight {
    number: u64,
    /// No position may be set behind these when the fetch ends.
    caps: Vec<(usize, Position)>,
}

/// How far back a fetch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Start,
    Back,
    Position,
}

/// What a fetch found of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// As much as was wanted.
    Enough,
    /// Less than was wanted.
    TooLittle,
    /// It was not looked at, or what was found is not known.
    Unknown,
}

/// A fetch of one queue in flight. Dropped without an [`end`](Self::end) it counts as rolled back.
#[derive(Debug)]
pub(crate) struct Scan<'c> {
    cursors: &'c Cursors,
    queue: i32,
    number: u64,
    /// The lanes from the first to the last wanted.
    lanes: (usize, usize),
    reach: Reach,
    /// What is before the positions is looked at, too, if there is too little behind them.
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

    /// Moves the start of fetches before a job that became available in this process. Call it after the
    /// commit.
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
        known.scans += 1;
        let number = known.scans;
        let state = known.queues.entry(queue).or_default();
        state.scans.push(InFlight { number, caps: Vec::new() });
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

    /// Nothing but the fetch `by` may set the lane's position behind `to`, unless it begins after this.
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
    fn ended(&mut self, number: u64) -> Option<InFlight> {
        let place = self.scans.iter().position(|known| known.number == number)?;
        Some(self.scans.swap_remove(place))
    }
}

impl InFlight {
    fn capped(&self, lane: usize, position: Position) -> Position {
        let cap = self.caps.iter().find(|(capped, _)| *capped == lane);
        cap.map_or(position, |(_, cap)| position.min(*cap))
    }
}

impl Scan<'_> {
    /// The lanes of the fetch: each priority, and the position it begins behind.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = (i16, Position)> {
        let (first, last) = self.lanes;
        (first..=last).map(|lane| (priority_of(lane), self.begins[lane]))
    }

    /// What is looked at if that is too little: each priority, and up to where.
    pub(crate) fn lanes_before(&self) -> impl Iterator<Item = (i16, Position)> {
        self.lanes().filter(|(_, position)| self.looks_before && *position > Position::START)
    }

    /// The fetch has taken these jobs, priority and position of each, and will commit, most likely. What begins from
    /// now on need not step over them; should it not commit, its end lowers the positions again.
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

    /// The fetch is committed. `taken` tells the last job of each priority that it gave, in the order of the
    /// priorities.
    pub(crate) fn end(mut self, now: Instant, found: Found, taken: &[(i16, Position)]) {
        self.has_ended = true;
        let mut known = self.cursors.lock();
        let Some(queue) = known.queues.get_mut(&self.queue) else { return };
        let Some(ended) = queue.ended(self.number) else { return };
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
            // It costs nothing to speak of, so the next one may do the same.
            _ if saw_all && took <= CHEAP => queue.from_start = Pace::default(),
            Reach::Start => queue.from_start.took(now, took),
            Reach::Back => queue.from_back.took(now, took),
            Reach::Position if saw_all => queue.from_start.took(now, took),
            Reach::Position => {}
        }
    }

    fn advance(&self, queue: &mut Queue, ended: &InFlight, found: Found, taken: &[(i16, Position)]) {
        let count = taken.len();
        for (place, (priority, last)) in taken.iter().enumerate() {
            let Some(lane) = lane_of(*priority) else { continue };
            // A look back that had enough before it came to the position has left jobs behind where it stopped.
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
    /// What was taken may be there again.
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        if let Some(queue) = self.cursors.lock().queues.get_mut(&self.queue) {
            queue.ended(self.number);
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
