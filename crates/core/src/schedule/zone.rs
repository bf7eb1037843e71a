//! At which instants the clocks of a time zone show a wall time.
//!
//! ```text
//!  clocks put forward: 2:00 to 3:00 is left out     clocks put back: 2:00 to 3:00 comes twice
//!  ── 1:59 │ 3:00 ──▶                               ── 2:59 │ 2:00 … 2:59 3:00 ──▶
//!          └ a fixed 2:30 fires here, once                  └─────────── a fixed 2:30 has fired before
//! ```
//!
//! Between two changes of its clocks a zone's offset from UTC is constant, so there the next instant is the
//! next wall time that the rule names. What a change leaves out or repeats is decided at its edges.

use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use super::cron::CronRule;

/// A fixed time in a longer gap does not fire at all: it is no change of clocks for the summer.
const LONGEST_GAP: SignedDuration = SignedDuration::from_hours(3);

/// The first instant after another at which a rule fires in a zone.
pub(super) fn next_after(rule: &CronRule, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    let mut from = Timestamp::from_second(after.as_second() + 1).ok()?;
    loop {
        let stretch = Stretch::at(zone, from);
        if let Some(found) = stretch.first(rule, from) {
            return Some(found);
        }
        from = stretch.end?;
    }
}

/// The time between two changes of a zone's clocks.
struct Stretch {
    offset: Offset,
    /// When it began, and the offset before.
    start: Option<(Timestamp, Offset)>,
    end: Option<Timestamp>,
}

impl Stretch {
    /// The one that an instant lies in.
    fn at(zone: &TimeZone, at: Timestamp) -> Self {
        let instant = SignedDuration::from_nanos(1);
        let start = at.checked_add(instant).ok().and_then(|later| zone.preceding(later).next());
        let start = start.map(|change| change.timestamp());
        let before = |start: Timestamp| Some((start, zone.to_offset(start.checked_sub(instant).ok()?)));
        Self {
            offset: zone.to_offset(at),
            start: start.and_then(before),
            end: zone.following(at).next().map(|change| change.timestamp()),
        }
    }

    /// The first instant of the stretch, from one on, at which the rule fires.
    fn first(&self, rule: &CronRule, from: Timestamp) -> Option<Timestamp> {
        let mut wall = self.offset.to_datetime(from);
        if let Some((start, offset)) = self.start.filter(|_| rule.is_fixed) {
            let (old, new) = (offset.to_datetime(start), self.offset.to_datetime(start));
            let gap = SignedDuration::from_secs(i64::from(self.offset.seconds() - offset.seconds()));
            if from == start && old < new && gap <= LONGEST_GAP && rule.first_from(old, Some(new)).is_some() {
                return Some(start);
            }
            if old > new {
                // Up to there the clocks showed the same times before they were put back.
                wall = wall.max(old);
            }
        }
        let end = self.end.map(|end| self.offset.to_datetime(end));
        self.offset.to_timestamp(rule.first_from(wall, end)?).ok()
    }
}
