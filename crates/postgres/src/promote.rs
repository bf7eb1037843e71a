//! Makes due jobs available, and remembers up to which instant none is left.
//!
//! A promoted job leaves a dead entry at the head of the index of waiting jobs. While an old snapshot is open
//! none of them can be removed, and every look from the start would step over all of them. So a round begins
//! where the one before ended:
//!
//! ```text
//!  dead entries of promoted jobs        due now           due later
//! ──────────────┬───────────────┬───────────────────┬──────────────────▶ run_at
//!            late: 5 s        until                now
//! ```
//!
//! A job that a slow transaction stores with a time that has passed lies before `until`. Rounds from a few
//! seconds before it and from the start find such jobs; each kind comes as often as takes a bounded share of
//! the time, and where it is cheap every round is one from the start.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gristmill_core::{Call, Maintained, Timestamp};
use uuid::Uuid;

use crate::error::{Answer, undecodable};
use crate::handle::Inner;
use crate::hint_sum::{HintSum, Position};
use crate::pace::Pace;
use crate::requests;
use crate::row;
use crate::statement::sql;

/// How far before `until` a round looks for jobs that were stored late, in milliseconds.
const LATE_MS: i64 = 5_000;
/// Where this process does not promote, it leaves to others what has been due for longer than this, in
/// milliseconds.
const OTHERS_MS: i64 = 60_000;

/// Up to where jobs were promoted.
#[derive(Debug, Default)]
pub(crate) struct Promotions(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    until_ms: Option<i64>,
    from_start: Pace,
    from_late: Pace,
}

/// Where a round begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Start,
    Late,
    Until,
}

impl Promotions {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From when on a look at the head of the waiting jobs has to see them.
    pub(crate) fn head_ms(&self, now: Timestamp) -> i64 {
        self.known().until_ms.unwrap_or(now.as_millis() - OTHERS_MS)
    }

    /// Another store is in its place.
    pub(crate) fn forget(&self) {
        *self.known() = Known::default();
    }

    fn begin(&self, now: Instant) -> (Reach, i64) {
        let known = self.known();
        match known.until_ms {
            Some(until) if !known.from_start.is_due(now) => {
                if known.from_late.is_due(now) {
                    (Reach::Late, until - LATE_MS)
                } else {
                    (Reach::Until, until)
                }
            }
            _ => (Reach::Start, i64::MIN),
        }
    }

    /// A round ended. None that can be had is left before `until`, where it says so.
    fn end(&self, reach: Reach, began: Instant, until_ms: Option<i64>) {
        let (mut known, now) = (self.known(), Instant::now());
        let took = now.duration_since(began);
        match reach {
            Reach::Start => known.from_start.took(now, took),
            Reach::Late => known.from_late.took(now, took),
            Reach::Until => {}
        }
        known.until_ms = known.until_ms.max(until_ms);
    }
}

pub(crate) async fn promote(inner: &Inner, call: Call, request: &usize) -> Answer<Maintained> {
    let limit = *request;
    let given = call.now.map(Timestamp::as_millis);
    let mut session = inner.work().await?;
    let began = Instant::now();
    // A test's clock goes back and forth.
    let (reach, from_ms) =
        if given.is_none() { inner.promotions.begin(began) } else { (Reach::Start, i64::MIN) };
    let paused_until = if given.is_none() { inner.requests.paused_until(began) } else { None };
    let looks = paused_until.is_none();
    let rows = session.query(sql!("promote"), &[&given, &row::size(limit), &from_ms, &looks]).await?;
    let answered = Instant::now();
    let (mut hints, mut done, mut last_ms, mut head) = (HintSum::default(), 0, None, None);
    for row in &rows {
        let Some(queue) = row.try_get::<_, Option<i32>>(0)? else {
            head = Some(row);
            continue;
        };
        let (priority, run_at_ms, id): (i16, i64, Uuid) = (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        inner.cursors.lower(queue, priority, run_at_ms, id);
        hints.available(queue, Position { priority, run_at_ms, id });
        done += row.try_get::<_, i64>(4)?;
        last_ms = last_ms.max(row.try_get::<_, Option<i64>>(5)?);
    }
    inner.send_hints(hints);
    let head = head.ok_or_else(|| undecodable("answer"))?;
    let (now, due, next) =
        (row::timestamp(head, 2)?, head.try_get::<_, i64>(4)?, row::optional_timestamp(head, 5)?);
    let is_whole = done >= row::size(limit);
    let mut round = Maintained::round(usize::try_from(done).unwrap_or(0), None, now);
    round.more = due > done && is_whole;
    round.blocked = due > done && !is_whole;
    round.next_due = next.filter(|_| !round.more);
    let has_requests = head.try_get::<_, Option<bool>>(7)?.unwrap_or(false);
    if call.now.is_none() {
        if looks {
            let took_us = head.try_get::<_, i64>(8)? - head.try_get::<_, i64>(6)?;
            let took = Duration::from_micros(u64::try_from(took_us).unwrap_or(0));
            inner.requests.looked(answered, took, has_requests);
        }
        inner.learn_clock(now);
        let until = if round.more { last_ms } else { (!round.blocked).then(|| now.as_millis()) };
        inner.promotions.end(reach, began, until);
    }
    let mut resume_at = paused_until;
    if has_requests {
        let applied = requests::apply(inner, &mut session, call, now).await?;
        round.done += applied.done;
        round.more |= applied.more;
        resume_at = applied.resume_at;
    }
    let resume_at = resume_at.map(|at| now + at.saturating_duration_since(answered));
    round.next_due = round.next_due.into_iter().chain(resume_at).min();
    Ok(round)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_begin_at_the_start_until_that_is_dear() {
        let promotions = Promotions::default();
        let now = Instant::now();
        assert_eq!(promotions.begin(now), (Reach::Start, i64::MIN));
        promotions.end(Reach::Start, now, Some(9_000));
        assert_eq!(promotions.begin(Instant::now()).0, Reach::Start, "it was cheap");
        let long_ago = now.checked_sub(Duration::from_secs(1)).expect("the clock is older");
        promotions.end(Reach::Start, long_ago, Some(9_000));
        assert_eq!(promotions.begin(now), (Reach::Late, 9_000 - LATE_MS));
        promotions.end(Reach::Late, long_ago, Some(8_000));
        assert_eq!(promotions.begin(now), (Reach::Until, 9_000), "it never goes back");
        let later = now + Duration::from_secs(120);
        assert_eq!(promotions.begin(later).0, Reach::Start);
    }
}
