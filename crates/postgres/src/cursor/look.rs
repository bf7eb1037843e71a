//! Looks before the cursors of a queue beside the fetches, so that no fetch has to wait for one.
//!
//! A look from the start is the only way to find a job that another process put before a cursor if its
//! notification was lost. Beside an old snapshot a look takes longer the older the snapshot is. As long as
//! that is cheap, fetches look by themselves. Once a look was dear, fetches begin at the cursors only, and a
//! task looks beside them:
//!
//! ```text
//!         a fetch was slow                  a look took over DEAR
//!  cheap ──────────────────▶ to be measured ───────────────────────▶ dear ──┐ a look took
//!   ▲  ▲                          │                                  │  ▲   │ over DEAR
//!   │  └── a look took at most ───┘                                  │  └───┘
//!   │      DEAR                                                      │
//!   └──────────────────── a look took at most DEAR ──────────────────┘
//!
//!  slow: a fetch that rewound or saw all of the queue took over CHEAP (3 ms), and jobs were fetched
//!        since the last look
//!  DEAR: 1 ms
//! ```
//!
//! In *to be measured* fetches still rewind and look by themselves, as in *cheap*. After each look the task
//! pauses for 200 times as long as the look took, but for 250 ms at least and 60 s at most.

use std::time::{Duration, Instant};

use uuid::Uuid;

use super::{Cursors, LANES, OpenScan, Position, Queue, lane_of, priority_of};
use crate::error::Answer;
use crate::handle::Inner;
use crate::statement::sql;

/// Longer looks are left to the task.
const DEAR: Duration = Duration::from_millis(1);
/// Looks take this part of the time at most: one in 200 …
const SHARE: u32 = 200;
/// … are so far apart at least …
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
/// … and so far at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A priority without fetched jobs is looked at up to this many milliseconds ago; its cursor may then move
/// there.
const SETTLED_MS: i64 = 5_000;

/// The looks at a queue.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "four facts that are learnt apart and used apart")]
pub(super) struct Looks {
    /// The latest one was dear.
    pub(super) is_dear: bool,
    /// A fetch that rewound or looked at all of the queue was slow. A look is to measure whether that was the
    /// cause.
    pub(super) is_wanted: bool,
    /// Jobs were fetched since the latest look. Without any, an idle queue would be measured again and again.
    pub(super) leaves_dead: bool,
    is_under_way: bool,
    not_before: Option<Instant>,
}

/// A look under way. Dropping it without an end changes no cursor.
struct Look<'c> {
    cursors: &'c Cursors,
    queue: i32,
    number: u64,
    /// Up to where each priority is looked at, by lane.
    ends: [Position; LANES],
}

impl Cursors {
    /// Begins a look at a queue, if one is due.
    fn begin_look(&self, queue: i32, now: Instant, now_ms: i64) -> Option<Look<'_>> {
        let mut known = self.lock();
        known.last_scan += 1;
        let number = known.last_scan;
        let state = known.queues.get_mut(&queue)?;
        let looks = &mut state.looks;
        let is_due = looks.not_before.is_none_or(|at| now >= at);
        if !is_due || looks.is_under_way || !(looks.is_dear || looks.is_wanted) {
            return None;
        }
        looks.is_under_way = true;
        state.scans.push(OpenScan { number, caps: Vec::new() });
        let settled = Position { run_at_ms: now_ms - SETTLED_MS, id: Uuid::nil() };
        let ends = state.positions.map(|position| position.max(settled));
        Some(Look { cursors: self, queue, number, ends })
    }
}

impl Look<'_> {
    /// Ends a look. `found` holds the first job of each priority that has one. If the look was dear, a
    /// priority without a job has its cursor raised to where the look ended.
    fn end(self, now: Instant, took: Duration, found: &[(i16, Position)]) {
        let mut known = self.cursors.lock();
        let Some(queue) = known.queues.get_mut(&self.queue) else { return };
        let Some(ended) = queue.remove_scan(self.number) else { return };
        let was_dear = std::mem::replace(&mut queue.looks.is_dear, took > DEAR);
        queue.looks.is_wanted = false;
        queue.looks.leaves_dead = false;
        queue.looks.not_before = Some(now + (took * SHARE).clamp(SHORTEST_PAUSE, LONGEST_PAUSE));
        for (lane, end) in self.ends.iter().enumerate() {
            match found.iter().find(|(priority, _)| lane_of(*priority) == Some(lane)) {
                Some((_, job)) => queue.lower(lane, job.before(), None),
                // Before its end there are only jobs that came meanwhile; they have capped it.
                None if queue.looks.is_dear => {
                    queue.positions[lane] = queue.positions[lane].max(ended.capped(lane, *end));
                }
                None => {}
            }
        }
        if was_dear && !queue.looks.is_dear {
            queue.is_cheap_again();
        }
    }
}

impl Drop for Look<'_> {
    fn drop(&mut self) {
        if let Some(queue) = self.cursors.lock().queues.get_mut(&self.queue) {
            queue.remove_scan(self.number);
            queue.looks.is_under_way = false;
        }
    }
}

impl Queue {
    /// Lets the next fetch begin at the start.
    fn is_cheap_again(&mut self) {
        self.from_start = super::Pace::default();
        self.to_the_end = Duration::ZERO;
    }
}

impl Inner {
    /// Starts a task that looks before the cursors of a queue, if that is due.
    pub(crate) fn look_before_cursors(&self, queue: i32) {
        let now_ms = self.server_now().as_millis();
        if !self.cursors.wants_look(queue, Instant::now()) {
            return;
        }
        let Some(inner) = self.me.upgrade() else { return };
        self.runtime.spawn(async move {
            if let Some(look) = inner.cursors.begin_look(queue, Instant::now(), now_ms)
                && let Err(fail) = run(&inner, look).await
            {
                gristmill_core::log!(debug, ?fail, "a look before the fetch cursors failed");
            }
        });
    }
}

impl Cursors {
    fn wants_look(&self, queue: i32, now: Instant) -> bool {
        self.lock().queues.get(&queue).is_some_and(|queue| {
            let looks = &queue.looks;
            let is_due = looks.not_before.is_none_or(|at| now >= at);
            is_due && !looks.is_under_way && (looks.is_dear || looks.is_wanted)
        })
    }
}

async fn run(inner: &Inner, look: Look<'_>) -> Answer<()> {
    let mut session = inner.reads().await?;
    let priorities: Vec<i16> = (0..LANES).map(priority_of).collect();
    let run_ats: Vec<i64> = look.ends.iter().map(|end| end.run_at_ms).collect();
    let ids: Vec<Uuid> = look.ends.iter().map(|end| end.id).collect();
    let since = Instant::now();
    let rows = session.query(sql!("first_before"), &[&look.queue, &priorities, &run_ats, &ids]).await?;
    let took = since.elapsed();
    let found = rows
        .iter()
        .map(|row| Ok((row.try_get(0)?, Position { run_at_ms: row.try_get(1)?, id: row.try_get(2)? })));
    let found = found.collect::<Answer<Vec<_>>>()?;
    look.end(Instant::now(), took, &found);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: i32 = 1;

    fn at(run_at_ms: i64) -> Position {
        Position { run_at_ms, id: Uuid::from_u128(5) }
    }

    /// A queue whose fetches have come to a position, one of which was slow.
    fn slow(cursors: &Cursors) {
        let priorities = (gristmill_core::Priority::FIRST, gristmill_core::Priority::LAST);
        let now = Instant::now();
        let scan = cursors.begin(QUEUE, priorities, now);
        scan.end(now + Duration::from_secs(1), super::super::Found::TooLittle, &[(0, at(90_000))]);
    }

    fn positions(cursors: &Cursors) -> Vec<(i16, Position)> {
        let priorities = (gristmill_core::Priority::FIRST, gristmill_core::Priority::LAST);
        let scan = cursors.begin(QUEUE, priorities, Instant::now());
        assert_eq!(scan.lanes_before().count(), 0, "a fetch does not look before them");
        scan.lanes().collect()
    }

    #[test]
    fn after_a_dear_look_fetches_begin_behind_what_was_looked_at() {
        let cursors = Cursors::default();
        slow(&cursors);
        let look = cursors.begin_look(QUEUE, Instant::now(), 50_000).expect("it is due");
        assert!(cursors.begin_look(QUEUE, Instant::now(), 50_000).is_none(), "one at a time");
        look.end(Instant::now(), 2 * DEAR, &[]);
        let positions = positions(&cursors);
        assert_eq!(positions[0].1.run_at_ms, 45_000, "none of this priority was fetched");
        assert_eq!(positions[10], (0, at(90_000)));
        assert!(cursors.begin_look(QUEUE, Instant::now(), 50_000).is_none(), "it is not due yet");
    }

    #[test]
    fn a_look_lowers_the_position_to_what_it_finds_and_passes_nothing_that_came_meanwhile() {
        let cursors = Cursors::default();
        slow(&cursors);
        let look = cursors.begin_look(QUEUE, Instant::now(), 50_000).expect("it is due");
        cursors.lower(QUEUE, -10, 7_000, Uuid::from_u128(5));
        look.end(Instant::now(), 2 * DEAR, &[(0, at(3_000))]);
        let positions = positions(&cursors);
        assert_eq!(positions[0], (-10, at(7_000).before()));
        assert_eq!(positions[10], (0, at(3_000).before()));
    }

    #[test]
    fn after_a_cheap_look_fetches_look_at_all_again() {
        let cursors = Cursors::default();
        slow(&cursors);
        let dear = cursors.begin_look(QUEUE, Instant::now(), 50_000).expect("it is due");
        dear.end(Instant::now(), 2 * DEAR, &[]);
        let later = Instant::now() + LONGEST_PAUSE;
        let cheap = cursors.begin_look(QUEUE, later, 50_000).expect("it is due");
        cheap.end(later, DEAR, &[]);
        let priorities = (gristmill_core::Priority::FIRST, gristmill_core::Priority::LAST);
        let scan = cursors.begin(QUEUE, priorities, Instant::now());
        assert!(scan.lanes().all(|(_, position)| position == Position::START));
    }
}
