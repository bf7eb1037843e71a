//! Between Rust's types and what columns hold of them.
//!
//! A number is 64 bits wide here, whatever its column is. For one that cannot be what a backend stored, no
//! job is lost: it counts as the nearest that can, or as the default. Only a state and an ending have nothing
//! of the kind.

use std::num::NonZeroU16;
use std::time::Duration;

use gristmill_core::{DEFAULT_MAX_ATTEMPTS, EndedBy, Ending, JobSpec, JobState, Name, Priority, RunError};

/// The state that a number stands for; `None` for one that this version does not know.
#[inline]
pub fn state(number: i64) -> Option<JobState> {
    JobState::from_index(usize::try_from(number).ok()?)
}

/// The number that stands for a state.
#[inline]
pub fn state_number(state: JobState) -> i16 {
    index(state.index())
}

/// The ending that a number stands for; `None` for one that this version does not know.
#[inline]
pub fn ending(number: i64) -> Option<Ending> {
    Ending::from_index(usize::try_from(number).ok()?)
}

/// The number that stands for an ending.
#[inline]
pub fn ending_number(ending: Ending) -> i16 {
    index(ending.index())
}

/// Who ended a run, by the number that stands for it; `None` for one that this version does not know.
#[inline]
pub fn ended_by(number: i64) -> Option<EndedBy> {
    EndedBy::from_index(usize::try_from(number).ok()?)
}

/// The number that stands for who ended a run.
#[inline]
pub fn ended_by_number(by: EndedBy) -> i16 {
    index(by.index())
}

fn index(index: usize) -> i16 {
    i16::try_from(index).expect("an enum of core has a few members")
}

/// The priority in a column.
#[inline]
pub fn priority(stored: i64) -> Priority {
    let nearest = if stored < 0 { Priority::FIRST } else { Priority::LAST };
    Priority::new(stored).unwrap_or(nearest)
}

/// The attempts a job has at most; 0 counts as the default.
#[inline]
pub fn max_attempts(stored: i64) -> NonZeroU16 {
    NonZeroU16::new(count16(stored)).unwrap_or(DEFAULT_MAX_ATTEMPTS)
}

/// A stored count of attempts or crashes.
#[inline]
pub fn count16(stored: i64) -> u16 {
    u16::try_from(stored.max(0)).unwrap_or(u16::MAX)
}

/// A stored number of a run, or count of slots.
#[inline]
pub fn count32(stored: i64) -> u32 {
    u32::try_from(stored.max(0)).unwrap_or(u32::MAX)
}

/// A stored amount, which is never negative.
#[inline]
pub fn amount(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}

/// A size or a limit as an integer of SQL.
#[inline]
pub fn size(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A duration from the milliseconds in a column.
#[inline]
pub fn duration(millis: i64) -> Duration {
    Duration::from_millis(amount(millis))
}

/// The milliseconds of a duration as they are stored: a column ends at 292 million years.
#[inline]
pub fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Names as the JSON array that [`read_names`](crate::read_names) reads, `[]` where there are none.
pub fn write_names(names: &[Name]) -> String {
    serde_json::to_string(names).expect("names are always JSON")
}

/// The error a run left, from the columns of its message and its backtrace.
pub fn run_error(message: Option<&str>, backtrace: Option<&str>) -> Option<RunError> {
    let error = RunError::new(message?);
    Some(match backtrace {
        Some(backtrace) => error.with_backtrace(backtrace),
        None => error,
    })
}

/// Whether a job has anything of what few jobs have, and what hot paths so leave aside: a unique key, a
/// timeout, policies of its own, tags, metadata, args that are not JSON.
#[inline]
pub fn has_options(spec: &JobSpec) -> bool {
    spec.unique_key.is_some()
        || spec.timeout.is_some()
        || spec.retry.is_some()
        || spec.retention.is_some()
        || !spec.tags.is_empty()
        || !spec.metadata.is_empty()
        || !spec.args.encoding().is_json()
}

#[cfg(test)]
mod tests {
    use gristmill_core::{Args, UniqueKey};

    use super::*;
    use crate::read_names;

    #[test]
    fn states_and_endings_come_back_from_their_numbers() {
        for of in JobState::ALL.iter().copied() {
            assert_eq!(state(state_number(of).into()), Some(of));
        }
        for of in Ending::ALL.iter().copied() {
            assert_eq!(ending(ending_number(of).into()), Some(of));
        }
        for of in EndedBy::ALL.iter().copied() {
            assert_eq!(ended_by(ended_by_number(of).into()), Some(of));
        }
        assert_eq!((ended_by(-1), ended_by(3)), (None, None));
        assert_eq!((state(-1), state(8)), (None, None));
        assert_eq!((ending(-1), ending(1_000)), (None, None));
    }

    #[test]
    fn what_cannot_have_been_stored_counts_as_the_nearest_that_can() {
        assert_eq!([-1, 7, 70_000].map(count16), [0, 7, u16::MAX]);
        assert_eq!([-1, 7, i64::MAX].map(count32), [0, 7, u32::MAX]);
        assert_eq!([-1, 7].map(amount), [0, 7]);
        assert_eq!([-1, 0, 5].map(|stored| max_attempts(stored).get()), [20, 20, 5]);
        assert_eq!([-1_000, 1_000, 3].map(|stored| priority(stored).get()), [-10, 10, 3]);
    }

    #[test]
    fn durations_keep_within_their_column() {
        assert_eq!(duration(millis(Duration::from_secs(3))), Duration::from_secs(3));
        assert_eq!((duration(-1), millis(Duration::MAX)), (Duration::ZERO, i64::MAX));
    }

    #[test]
    fn names_are_a_json_array() {
        let names = vec![Name::new("mail").expect("a name"), Name::new("resize").expect("a name")];
        assert_eq!(write_names(&names), r#"["mail","resize"]"#);
        assert_eq!(read_names(&write_names(&names)), names);
        assert_eq!((write_names(&[]), read_names("{")), ("[]".to_owned(), Vec::new()));
    }

    #[test]
    fn options_are_what_few_jobs_have() {
        let name = |text| Name::new(text).expect("a name");
        let mut spec = JobSpec::new(name("kind"), name("queue"), Args::from_stored(b"{}".to_vec()));
        spec.max_attempts = NonZeroU16::MIN;
        assert!(!has_options(&spec));
        spec.unique_key = UniqueKey::new("key").ok();
        assert!(has_options(&spec));
    }
}
