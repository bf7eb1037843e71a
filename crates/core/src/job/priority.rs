//! Which job of a queue runs first.

use std::fmt;

/// A priority from −10 to 10; the smaller one runs first, as with `nice`. The default is 0.
///
/// The range is narrow so that a backend may give each priority a lane of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize)]
#[serde(transparent)]
pub struct Priority(i8);

/// A number outside the range of priorities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("priority {0} is out of range; the smallest is -10 (first) and the largest 10 (last)")]
pub struct InvalidPriority(i64);

impl Priority {
    /// Runs before all others.
    pub const FIRST: Self = Self(-10);
    /// Runs after all others.
    pub const LAST: Self = Self(10);

    /// Checks and keeps a priority.
    ///
    /// # Errors
    /// [`InvalidPriority`] when it lies outside −10..=10.
    pub fn new(priority: impl Into<i64>) -> Result<Self, InvalidPriority> {
        let priority = priority.into();
        match i8::try_from(priority) {
            Ok(small) if (Self::FIRST.0..=Self::LAST.0).contains(&small) => Ok(Self(small)),
            _ => Err(InvalidPriority(priority)),
        }
    }

    /// The number.
    pub const fn get(self) -> i8 {
        self.0
    }

    /// Every priority, first to last.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> {
        (Self::FIRST.0..=Self::LAST.0).map(Self)
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> serde::Deserialize<'de> for Priority {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(i64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
