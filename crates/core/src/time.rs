//! An instant, as the store and the wire know it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// An instant in whole milliseconds since 1970-01-01T00:00:00Z, the resolution every backend stores.
///
/// Its text form is RFC 3339 in UTC with milliseconds. Arithmetic saturates at [`Timestamp::MAX`]
/// (near the end of the year 9999), so a delay of any length is a valid one.
///
/// ```
/// use gristmill_core::Timestamp;
/// use std::time::Duration;
///
/// let at: Timestamp = "2026-11-22T10:00:00Z".parse()?;
/// assert_eq!((at + Duration::from_millis(5)).to_string(), "2026-11-22T10:00:00.005Z");
/// # Ok::<(), gristmill_core::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);
    /// 9999-12-30T22:00:00Z, the last instant that is kept: after it an instant has no year of four digits
    /// everywhere on earth, and its text form would not be read back.
    pub const MAX: Self = Self(253_402_207_200_000);

    /// The instant `millis` milliseconds after the epoch, clamped to the epoch and [`Self::MAX`].
    pub const fn from_millis(millis: i64) -> Self {
        if millis < 0 {
            Self(0)
        } else if millis > Self::MAX.0 {
            Self::MAX
        } else {
            Self(millis)
        }
    }

    /// Milliseconds since the epoch; never negative.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// How long after `earlier` this instant lies; zero when it lies before.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// This instant moved by a signed number of milliseconds.
    pub const fn offset_millis(self, millis: i64) -> Self {
        Self::from_millis(self.0.saturating_add(millis))
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis(self.0.saturating_add(millis))
    }
}

impl std::ops::Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis(self.0.saturating_sub(millis))
    }
}

impl From<std::time::SystemTime> for Timestamp {
    fn from(time: std::time::SystemTime) -> Self {
        let since_epoch = time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self::EPOCH + since_epoch
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(timestamp) => write!(f, "{timestamp:.3}"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = crate::Error;

    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when the text is no RFC 3339 instant.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<jiff::Timestamp>() {
            Ok(timestamp) => Ok(Self::from_millis(timestamp.as_millisecond())),
            Err(_) => Err(crate::Error::invalid(format!(
                "`{}` is not a time: {}; write it as 2026-11-22T10:00:00Z (RFC 3339)",
                text.chars().take(64).collect::<String>().escape_debug(),
                fault(text)
            ))),
        }
    }
}

/// What is wrong with a text that is no instant.
fn fault(text: &str) -> String {
    let Ok(pieces) = jiff::fmt::temporal::Pieces::parse(text) else {
        return if text.is_empty() {
            "it is empty".to_owned()
        } else {
            "its form or a part of it is wrong".to_owned()
        };
    };
    if pieces.time().is_none() {
        "it has a date alone".to_owned()
    } else if pieces.offset().is_none() {
        "it has no zone, such as `Z` or `+02:00`".to_owned()
    } else {
        format!("the last one that is kept is {}", Timestamp::MAX)
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
