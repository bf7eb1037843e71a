//! How durations are written by people: `500ms`, `30s`, `5m`, `2h`, `1d`, `1h30m`.

use std::fmt::Write as _;
use std::time::Duration;

/// A text that is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a duration: {why}; expected one like \"500ms\", \"30s\", \"5m\", \"2h\", \"1d\" or \"1h30m\"", .text.escape_debug())]
pub struct InvalidDuration {
    text: String,
    why: String,
}

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
    let invalid = |why: &str| InvalidDuration { text: text.chars().take(64).collect(), why: why.to_owned() };
    if text.is_empty() {
        return Err(invalid("it is empty"));
    } else if text.starts_with('-') {
        return Err(invalid("it is negative"));
    }
    let mut rest = text;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return Err(invalid("each part begins with a number"));
        }
        let number: u64 = rest[..digits].parse().map_err(|_| invalid("it is too long"))?;
        rest = &rest[digits..];
        let unit = rest.split(|character: char| character.is_ascii_digit()).next().unwrap_or_default();
        let Some((_, factor)) = UNITS.iter().find(|(known, _)| *known == unit) else {
            return Err(match unit.trim().chars().next() {
                None => invalid("a number has no unit: d, h, m, s or ms"),
                Some('.' | ',') => invalid("numbers are whole; take a smaller unit"),
                Some(_) => invalid(&format!("`{}` is no unit: d, h, m, s and ms are", unit.escape_debug())),
            });
        };
        rest = &rest[unit.len()..];
        let part = number.checked_mul(*factor).and_then(|part| total.checked_add(part));
        total = part.ok_or_else(|| invalid("it is too long"))?;
    }
    Ok(Duration::from_millis(total))
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
        for (text, why) in [
            ("", "it is empty"),
            ("-5s", "it is negative"),
            ("5", "has no unit"),
            ("5 s", "`"),
            ("1h30", "has no unit"),
            ("1.5h", "numbers are whole"),
            ("5 seconds", "` seconds` is no unit"),
            ("5\u{b5}s", "is no unit"),
            ("soon", "begins with a number"),
            ("99999999999999999999d", "too long"),
            ("9999999999999999d", "too long"),
        ] {
            let error = parse_duration(text).expect_err(text).to_string();
            assert!(error.contains(why) && error.contains("1h30m"), "{text:?}: {error}");
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
