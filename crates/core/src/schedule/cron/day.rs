//! Days of the month and of the week, with those that depend on the month's length.

use jiff::civil::{Date, Weekday};

use super::field::{DAY, WEEKDAY};

/// Days of a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Days {
    /// By number.
    plain: u64,
    /// By how many days before the last one: `L`, `L-3`.
    from_end: u64,
    /// Whose nearest working day is meant: `15W`.
    nearest: u64,
    /// The last working day: `LW`.
    last_workday: bool,
}

impl Days {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut days = Self::default();
        for part in text.split(',') {
            let upper = part.to_ascii_uppercase();
            if upper == "LW" {
                days.last_workday = true;
            } else if upper == "L" {
                days.from_end |= 1;
            } else if let Some(before) = upper.strip_prefix("L-") {
                let before = DAY.number(before)?;
                if before > 30 {
                    return Err(format!("no month has a day {part}"));
                }
                days.from_end |= 1 << before;
            } else if let Some(day) = upper.strip_suffix('W') {
                days.nearest |= 1 << DAY.number(day)?;
            } else {
                days.plain |= DAY.part(if part == "?" { "*" } else { part })?;
            }
        }
        Ok(days)
    }

    pub(super) fn has(self, date: Date) -> bool {
        let (day, last) = (date.day(), date.days_in_month());
        let nearest = |to: i8| workday_near(date, to) == Some(day);
        self.plain >> day & 1 == 1
            || self.from_end >> (last - day) & 1 == 1
            || self.last_workday && nearest(last)
            || self.nearest != 0 && (1..=last).any(|to| self.nearest >> to & 1 == 1 && nearest(to))
    }
}

/// The working day nearest to a day of the date's month, within that month.
fn workday_near(date: Date, day: i8) -> Option<i8> {
    let last = date.days_in_month();
    let that = Date::new(date.year(), date.month(), day).ok()?;
    Some(match that.weekday() {
        Weekday::Saturday if day > 1 => day - 1,
        Weekday::Saturday => day + 2,
        Weekday::Sunday if day < last => day + 1,
        Weekday::Sunday => day - 2,
        _ => day,
    })
}

/// Days of a week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Weekdays {
    /// Every one; 0 is Sunday.
    plain: u64,
    /// The last one of a month: `5L`.
    last: u64,
    /// The first to the fifth one of a month: `5#2`.
    nth: [u64; 5],
}

impl Weekdays {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut days = Self::default();
        for part in text.split(',') {
            if let Some((day, nth)) = part.split_once('#') {
                let place = nth.parse::<usize>().ok().filter(|nth| (1..=5).contains(nth));
                let Some(nth) = place else {
                    return Err(format!("the number behind # of weekday {part} is not 1 to 5"));
                };
                days.nth[nth - 1] |= sunday_once(1 << WEEKDAY.number(day)?);
            } else if let Some(day) = part.strip_suffix(['L', 'l']) {
                days.last |= sunday_once(1 << WEEKDAY.number(day)?);
            } else {
                days.plain |= sunday_once(WEEKDAY.part(if part == "?" { "*" } else { part })?);
            }
        }
        Ok(days)
    }

    pub(super) fn has(self, date: Date) -> bool {
        let which = date.weekday().to_sunday_zero_offset();
        let nth = usize::from((date.day() - 1).unsigned_abs() / 7);
        self.plain >> which & 1 == 1
            || self.last >> which & 1 == 1 && date.day() + 7 > date.days_in_month()
            || self.nth.get(nth).is_some_and(|days| days >> which & 1 == 1)
    }
}

/// Sunday is 0 and 7.
fn sunday_once(bits: u64) -> u64 {
    (bits | bits >> 7) & 0x7f
}
