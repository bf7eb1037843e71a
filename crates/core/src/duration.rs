//! How durations are written by people: `500ms`, `30s`, `5m`, `2h`, `1d`, `1h30m`.

use std::fmt::Write as _;
use std::time::Duration;

/// A text that is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a duration; expected one like \"500ms\", \"30s\", \"5m\", \"2h\" or \"1d\"")]
pub struct InvalidDuration(String);

const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads a duration such as `500ms`, `30s`, `5m`, `2h`, `1d` or `1h30m`: whole numbers, each with a unit.
///
/// ```
/// use std::time::Duration;
/// assert_eq!(gristmill_core::parse_duration("1h30m"), Ok(Duration::from_secs(5_400)));
/// assert!(gristmill_core::parse_duration("30 seconds").is_err());
/// ```
///
/// # Errors
/// [`InvalidDuration`] names the text and shows the form.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidDuration> {
    let invalid = || InvalidDuration(text.to_owned());
    let mut rest = text;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().map_err(|_| invalid())?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (_, factor) = UNITS.iter().find(|(unit, _)| *unit == &rest[..letters]).ok_or_else(invalid)?;
        rest = &rest[letters..];
        total = number.checked_mul(*factor).and_then(|part| total.checked_add(part)).ok_or_else(invalid)?;
    }
    if text.is_empty() { Err(invalid()) } else { Ok(Duration::from_millis(total)) }
}

/// Writes a duration the way [`parse_duration`] reads it, to the millisecond.
///
/// ```
/// use std::time::Duration;
/// assert_eq!(gristmill_core::format_duration(Duration::from_millis(90_500)), "1m30s500ms");
/// assert_eq!(gristmill_core::format_duration(Duration::ZERO), "0s");
/// ```
pub fn format_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, factor) in UNITS {
        if rest >= factor {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "{}{unit}", rest / factor);
            rest %= factor;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_durations_are_refused() {
        for text in ["", "30", "s", "30 seconds", "-1s", "1.5h", "5x", "99999999999999999999d", "1d2"] {
            assert!(parse_duration(text).is_err(), "{text:?} must be refused");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_back(millis in 0..u64::from(u32::MAX)) {
            let duration = Duration::from_millis(millis);
            proptest::prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }
    }
}
