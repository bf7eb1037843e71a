//! Which wall times a cron rule names.
//!
//! Of our own: `docs/design/schedules.md` says why no library fits.

mod day;
mod field;

use jiff::civil::{Date, DateTime, Time};

use self::day::{Days, Weekdays};
use self::field::{HOUR, MINUTE, MONTH, SECOND};

/// The calendar repeats after so many years.
const CYCLE: i16 = 400;

/// The wall times that a rule names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CronRule {
    seconds: u64,
    minutes: u64,
    hours: u64,
    days: Days,
    months: u64,
    weekdays: Weekdays,
    /// Whether a day has to be of both, the days of the month and those of the week. If both are restricted,
    /// one is enough.
    needs_both: bool,
    /// Whether the hours are fixed: each wall time fires once, whatever clocks do.
    pub(super) is_fixed: bool,
}

impl CronRule {
    /// Five fields, or six with the seconds first.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let short = text.strip_prefix('@').map(full).transpose()?;
        let fields: Vec<&str> = short.unwrap_or(text).split_ascii_whitespace().collect();
        let (second, [minute, hour, day, month, weekday]) = match fields[..] {
            [minute, hour, day, month, weekday] => ("0", [minute, hour, day, month, weekday]),
            [second, minute, hour, day, month, weekday] => (second, [minute, hour, day, month, weekday]),
            _ => {
                return Err(format!(
                    "{} fields; 5 are expected (minute hour day month weekday), or 6 with the second first",
                    fields.len()
                ));
            }
        };
        let is_open = |field: &str| field.starts_with(['*', '?']);
        let rule = Self {
            seconds: SECOND.numbers(second)?,
            minutes: MINUTE.numbers(minute)?,
            hours: HOUR.numbers(hour)?,
            days: Days::parse(day)?,
            months: MONTH.numbers(month)?,
            weekdays: Weekdays::parse(weekday)?,
            needs_both: is_open(day) || is_open(weekday),
            is_fixed: !hour.contains('*'),
        };
        let start = Date::constant(2000, 1, 1).to_datetime(Time::midnight());
        match rule.first_from(start, None) {
            Some(_) => Ok(rule),
            None => Err("it never fires: no month has such a day".to_owned()),
        }
    }

    /// The first wall time that the rule names, from one on and before another.
    pub(super) fn first_from(&self, from: DateTime, before: Option<DateTime>) -> Option<DateTime> {
        let last_year = from.year().saturating_add(CYCLE);
        let (mut date, mut time) = (from.date(), from.time());
        loop {
            let is_past = before.is_some_and(|before| date.to_datetime(time) >= before);
            if is_past || date.year() > last_year {
                return None;
            }
            let has_month = self.months >> date.month() & 1 == 1;
            if has_month
                && self.has_day(date)
                && let Some(found) = self.time_from(time)
            {
                let found = date.to_datetime(found);
                return Some(found).filter(|found| before.is_none_or(|before| *found < before));
            }
            time = Time::midnight();
            date = if has_month { date.tomorrow().ok()? } else { date.last_of_month().tomorrow().ok()? };
        }
    }

    fn has_day(&self, date: Date) -> bool {
        let (of_month, of_week) = (self.days.has(date), self.weekdays.has(date));
        if self.needs_both { of_month && of_week } else { of_month || of_week }
    }

    /// The first time of a day from one on.
    fn time_from(&self, from: Time) -> Option<Time> {
        let (hour, minute, second) = (from.hour(), from.minute(), from.second());
        let at = |hour, minute, second| Time::new(hour, minute, second, 0).ok();
        if has(self.hours, hour) {
            if has(self.minutes, minute)
                && let Some(second) = next(self.seconds, second)
            {
                return at(hour, minute, second);
            }
            if let Some(minute) = next(self.minutes, minute + 1) {
                return at(hour, minute, next(self.seconds, 0)?);
            }
        }
        at(next(self.hours, hour + 1)?, next(self.minutes, 0)?, next(self.seconds, 0)?)
    }
}

fn has(bits: u64, number: i8) -> bool {
    bits >> number & 1 == 1
}

/// The first number of a set from one on.
fn next(bits: u64, from: i8) -> Option<i8> {
    let rest = bits >> from;
    (rest != 0).then(|| from + i8::try_from(rest.trailing_zeros()).unwrap_or(0))
}

/// The rule that a shortcut stands for.
fn full(shortcut: &str) -> Result<&'static str, String> {
    Ok(match shortcut {
        "yearly" | "annually" => "0 0 1 1 *",
        "monthly" => "0 0 1 * *",
        "weekly" => "0 0 * * 0",
        "daily" | "midnight" => "0 0 * * *",
        "hourly" => "0 * * * *",
        _ => {
            return Err(format!(
                "`@{shortcut}` is unknown; there are @yearly @annually @monthly @weekly @daily @midnight @hourly, \
                 and @every with a duration"
            ));
        }
    })
}
