//! Ids of jobs, and where they come from.

use std::fmt;
use std::str::FromStr;
use std::sync::Mutex;

use uuid::Uuid;

use crate::Timestamp;

/// The id of a job: a UUID of version 7 (RFC 9562), so ids sort by the time they were made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(Uuid);

/// A text that is no job id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a job id; ids look like 019a9b3e-7c00-7000-8000-000000000000", .0.escape_debug())]
pub struct InvalidJobId(String);

impl JobId {
    /// The id with these sixteen bytes, as a store keeps them.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The sixteen bytes; their order is the order of ids.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// When the id was made, to the millisecond.
    pub fn minted_at(&self) -> Timestamp {
        let millis = self.0.as_u128() >> 80;
        Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for JobId {
    type Err = InvalidJobId;

    fn from_str(text: &str) -> Result<Self, InvalidJobId> {
        Uuid::try_parse(text).map(Self).map_err(|_| InvalidJobId(text.chars().take(64).collect()))
    }
}

impl serde::Serialize for JobId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for JobId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Makes ids that grow strictly within one source, whatever its clock does: the order of a batch is the order
/// of its ids.
///
/// Layout (RFC 9562, 5.7 with method 1 of 6.2): 48 bits of milliseconds, a 26-bit counter that starts at a
/// random value in the lower half of its range each millisecond, 48 random bits.
#[derive(Debug, Default)]
pub struct IdSource {
    last: Mutex<(i64, u32)>,
}

const COUNTER_BITS: u32 = 26;

impl IdSource {
    /// A source that has made nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next id at `now`.
    pub fn next(&self, now: Timestamp) -> JobId {
        let random = Uuid::new_v4().as_u128();
        let (millis, counter) = self.advance(now.as_millis(), random);
        JobId(compose(millis, counter, random))
    }

    fn advance(&self, now: i64, random: u128) -> (i64, u32) {
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (millis, counter) = *last;
        *last = if now > millis {
            (now, first_counter(random))
        } else if counter + 1 < 1 << COUNTER_BITS {
            (millis, counter + 1)
        } else {
            (millis + 1, first_counter(random))
        };
        *last
    }
}

/// The lower half leaves 33 million ids to every millisecond.
fn first_counter(random: u128) -> u32 {
    u32::try_from((random >> 96) & ((1 << (COUNTER_BITS - 1)) - 1)).expect("25 bits fit")
}

fn compose(millis: i64, counter: u32, random: u128) -> Uuid {
    const RANDOM_MASK: u128 = (1 << 48) - 1;
    let millis = u128::from(millis.unsigned_abs()) & RANDOM_MASK;
    let (high, low) = (u128::from(counter >> 14), u128::from(counter & 0x3fff));
    Uuid::from_u128(millis << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low << 48 | (random & RANDOM_MASK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_grow_even_when_the_clock_does_not() {
        let source = IdSource::new();
        let times = [5, 5, 9, 3, 9, 9].map(Timestamp::from_millis);
        let ids = times.map(|now| source.next(now));
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
    }

    #[test]
    fn an_id_is_a_version_7_uuid_and_knows_its_time() {
        let now = Timestamp::from_millis(1_700_000_000_123);
        let id = IdSource::new().next(now);
        assert_eq!(id.0.get_version_num(), 7);
        assert_eq!(id.0.get_variant(), uuid::Variant::RFC4122);
        assert_eq!(id.minted_at(), now);
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn a_full_counter_moves_to_the_next_millisecond() {
        let source = IdSource { last: Mutex::new((7, (1 << COUNTER_BITS) - 1)) };
        assert_eq!(source.next(Timestamp::from_millis(7)).minted_at(), Timestamp::from_millis(8));
    }
}
