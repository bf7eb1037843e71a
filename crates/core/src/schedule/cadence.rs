//! The rule of a schedule.

use std::fmt;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::cron::CronRule;
use super::zone;
use crate::{Timestamp, did_you_mean, parse_duration};

/// Why a text is no cadence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no cadence: {why}")]
pub struct InvalidCadence {
    text: String,
    why: String,
}

impl InvalidCadence {
    fn new(text: &str, why: impl Into<String>) -> Self {
        Self { text: text.to_owned(), why: why.into() }
    }
}

/// The rule by which a schedule fires.
///
/// **Every** so often, from an anchor on, exact for ever. Or **cron**: five fields, minute, hour, day,
/// month and weekday, or six with the second first. A field is a list of numbers, ranges (`8-18`) and steps
/// (`*/15`, `8-18/2`, `5/10`); months and weekdays have names (`JAN`, `MON-FRI`), Sunday is 0 and 7. Days
/// may be `L` (the last one), `L-3`, `15W` (the working day nearest to the 15th), `LW`; weekdays `5L` (the
/// last Friday) and `5#2` (the second). If day and weekday are both restricted, so that neither begins with
/// `*` or `?`, one of them is enough. Shortcuts: `@yearly`, `@monthly`, `@weekly`, `@daily`, `@hourly`, and
/// `@every 90s`.
///
/// A rule follows the clocks of its zone. If its hours are fixed (no `*` in the hour), each wall time fires
/// once: all that one gap leaves out when clocks are put forward fire together, once, at its end, if the
/// gap is at most three hours; one that comes twice fires the first time. With `*` in the hour it follows
/// real time: each wall time that it names, as often as it comes.
///
/// ```
/// use gristmill_core::{Cadence, Timestamp};
///
/// let report = Cadence::cron("30 2 * * MON-FRI", "Europe/Stockholm")?;
/// let friday: Timestamp = "2025-03-28T12:00:00Z".parse()?;
/// // Clocks were put forward on the Sunday between.
/// assert_eq!(report.next_after(friday, friday), Some("2025-03-31T00:30:00Z".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Cadence(Rule);

#[derive(Clone, PartialEq)]
enum Rule {
    Every(Duration),
    Cron { text: String, rule: CronRule, zone: TimeZone },
}

impl Cadence {
    /// The shortest time between two instants of [`every`](Self::every).
    pub const SHORTEST: Duration = Duration::from_secs(1);
    /// The longest.
    pub const LONGEST: Duration = Duration::from_secs(366 * 86_400);

    /// Fires at the anchor and then after each `every`.
    ///
    /// # Errors
    /// [`InvalidCadence`] if it is shorter than [`Self::SHORTEST`] or longer than [`Self::LONGEST`].
    pub fn every(every: Duration) -> Result<Self, InvalidCadence> {
        if (Self::SHORTEST..=Self::LONGEST).contains(&every) {
            return Ok(Self(Rule::Every(every)));
        }
        Err(InvalidCadence::new(&format!("every {every:?}"), "1 s to 366 days are allowed"))
    }

    /// Fires by a cron rule in a time zone, such as `Europe/Stockholm` or `UTC`. A rule that begins with
    /// `CRON_TZ=` or `TZ=` names its zone itself. `@every` with a duration is [`Self::every`], which has no
    /// zone.
    ///
    /// # Errors
    /// [`InvalidCadence`] names the field, or the zone that comes nearest. A rule that never fires, such as
    /// `0 0 31 2 *`, is refused.
    pub fn cron(text: &str, zone: &str) -> Result<Self, InvalidCadence> {
        let invalid = |why: String| InvalidCadence::new(text, why);
        let (own, rule) = match text.strip_prefix("CRON_TZ=").or_else(|| text.strip_prefix("TZ=")) {
            Some(rest) => rest.split_once(' ').unwrap_or((rest, "")),
            None => (zone, text),
        };
        let rule = rule.trim();
        if let Some(every) = rule.strip_prefix("@every ") {
            let every = parse_duration(every.trim()).map_err(|error| invalid(error.to_string()))?;
            return Self::every(every).map_err(|error| invalid(error.why));
        }
        if rule == "@reboot" {
            return Err(invalid(
                "a store does not start; let the schedule run on its start instead".to_owned(),
            ));
        }
        let zone = find_zone(own).map_err(invalid)?;
        let rule = CronRule::parse(rule).map_err(invalid)?;
        Ok(Self(Rule::Cron { text: text.to_owned(), rule, zone }))
    }

    /// The first instant after another at which it fires. `anchor` is where [`every`](Self::every) counts
    /// from; before it nothing fires. `None` at the end of time.
    pub fn next_after(&self, after: Timestamp, anchor: Timestamp) -> Option<Timestamp> {
        match &self.0 {
            Rule::Every(_) if after < anchor => Some(anchor),
            Rule::Every(every) => {
                let every = i64::try_from(every.as_millis()).ok()?;
                let steps = (after.as_millis() - anchor.as_millis()) / every + 1;
                let next = anchor.as_millis().checked_add(steps.checked_mul(every)?)?;
                (next <= Timestamp::MAX.as_millis()).then(|| Timestamp::from_millis(next))
            }
            Rule::Cron { rule, zone, .. } => {
                let after = jiff::Timestamp::from_millisecond(after.as_millis()).ok()?;
                let next = zone::next_after(rule, zone, after)?.as_millisecond();
                (next <= Timestamp::MAX.as_millis()).then(|| Timestamp::from_millis(next))
            }
        }
    }

    /// An instant as the clocks of the cadence's zone show it, with its offset; UTC without a zone.
    pub fn wall_time(&self, at: Timestamp) -> String {
        let zone = match &self.0 {
            Rule::Every(_) => TimeZone::UTC,
            Rule::Cron { zone, .. } => zone.clone(),
        };
        match jiff::Timestamp::from_millisecond(at.as_millis()) {
            Ok(at) => at.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S %:z").to_string(),
            Err(_) => at.to_string(),
        }
    }
}

impl fmt::Debug for Cadence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Cadence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Rule::Every(every) => write!(f, "every {}", crate::format_duration(*every)),
            Rule::Cron { text, zone, .. } => match zone.iana_name() {
                Some(name) if !text.contains("TZ=") => write!(f, "{text} ({name})"),
                _ => f.write_str(text),
            },
        }
    }
}

fn find_zone(name: &str) -> Result<TimeZone, String> {
    if name == "UTC" {
        return Ok(TimeZone::UTC);
    }
    let database = jiff::tz::db();
    database.get(name).map_err(|_| {
        let known: Vec<String> = database.available().map(|zone| zone.as_str().to_owned()).collect();
        match did_you_mean(name, known.iter().map(String::as_str)) {
            Some(near) => format!("the zone `{name}` is unknown; did you mean `{near}`?"),
            None => format!("the zone `{name}` is unknown; name one as `Europe/Stockholm`, or UTC"),
        }
    })
}
