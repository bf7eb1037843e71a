//! Between Rust's types and SQLite's values.

use std::num::NonZeroU16;
use std::time::Duration;

use gristmill_core::{
    DEFAULT_MAX_ATTEMPTS, Ending, JobId, JobSpec, JobState, Metadata, Name, Priority, Retention, Timestamp,
    UniqueKey, WorkerId,
};
use rusqlite::Row;
use rusqlite::types::ValueRef;

use crate::error::{Answer, undecodable};

/// The columns of a job's spec but kind, queue, priority and args, from `first` on: max_attempts, unique_key,
/// timeout_ms, retry, retention, tags, metadata.
///
/// An option that does not decode counts as not set: a newer version may have written it, and a job may not be lost, or
/// its queue held up, for that.
pub(crate) fn read_options(row: &Row<'_>, first: usize, spec: &mut JobSpec) -> Answer<()> {
    spec.max_attempts = max_attempts(row, first)?;
    if let Some(key) = text(row, first + 1)? {
        spec.unique_key = UniqueKey::new(key).ok();
    }
    if let Some(millis) = row.get::<_, Option<i64>>(first + 2)? {
        spec.timeout = Some(duration(millis));
    }
    if let Some(json) = text(row, first + 3)? {
        spec.retry = serde_json::from_str(json).ok().map(Box::new);
    }
    spec.retention = read_retention(row, first + 4)?.map(Box::new);
    if let Some(json) = text(row, first + 5)? {
        spec.tags = read_names(json);
    }
    if let Some(json) = text(row, first + 6)? {
        spec.metadata = Metadata::from_json(json).unwrap_or_default();
    }
    Ok(())
}

pub(crate) fn max_attempts(row: &Row<'_>, column: usize) -> Answer<NonZeroU16> {
    let stored = u16::try_from(row.get::<_, i64>(column)?).unwrap_or(u16::MAX);
    Ok(NonZeroU16::new(stored).unwrap_or(DEFAULT_MAX_ATTEMPTS))
}

pub(crate) fn read_retention(row: &Row<'_>, column: usize) -> Answer<Option<Retention>> {
    Ok(text(row, column)?.and_then(|json| serde_json::from_str(json).ok()))
}

/// Names as a JSON array; `None` where there are none.
pub(crate) fn write_names(names: &[Name]) -> Option<String> {
    let json = || serde_json::to_string(names).expect("names are always JSON");
    (!names.is_empty()).then(json)
}

pub(crate) fn read_names(json: &str) -> Vec<Name> {
    serde_json::from_str(json).unwrap_or_default()
}

/// A column's text without a copy.
pub(crate) fn text<'r>(row: &'r Row<'_>, column: usize) -> Answer<Option<&'r str>> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        value => Ok(Some(value.as_str().map_err(|_| undecodable("text"))?)),
    }
}

pub(crate) fn name(row: &Row<'_>, column: usize) -> Answer<Name> {
    Ok(Name::new(text(row, column)?.unwrap_or_default()).map_err(|_| undecodable("name"))?)
}

/// A column's bytes without a copy.
pub(crate) fn blob<'r>(row: &'r Row<'_>, column: usize) -> Answer<&'r [u8]> {
    Ok(row.get_ref(column)?.as_blob().map_err(|_| undecodable("blob"))?)
}

pub(crate) fn job_id(row: &Row<'_>, column: usize) -> Answer<JobId> {
    let bytes = <[u8; 16]>::try_from(blob(row, column)?).map_err(|_| undecodable("job id"))?;
    Ok(JobId::from_bytes(bytes))
}

pub(crate) fn worker_id(row: &Row<'_>, column: usize) -> Answer<WorkerId> {
    Ok(WorkerId::from_u128(wide(blob(row, column)?)?))
}

/// The bytes of a worker's id, as they are stored.
pub(crate) fn worker_bytes(worker: WorkerId) -> [u8; 16] {
    worker.as_u128().to_be_bytes()
}

pub(crate) fn wide(bytes: &[u8]) -> Answer<u128> {
    let bytes = <[u8; 16]>::try_from(bytes).map_err(|_| undecodable("id"))?;
    Ok(u128::from_be_bytes(bytes))
}

pub(crate) fn state(number: i64) -> Answer<JobState> {
    let state = usize::try_from(number).ok().and_then(JobState::from_index);
    Ok(state.ok_or_else(|| undecodable("state"))?)
}

pub(crate) fn state_number(state: JobState) -> i64 {
    small(state.index())
}

pub(crate) fn ending(number: i64) -> Answer<Ending> {
    let ending = usize::try_from(number).ok().and_then(Ending::from_index);
    Ok(ending.ok_or_else(|| undecodable("ending"))?)
}

pub(crate) fn ending_number(ending: Ending) -> i64 {
    small(ending.index())
}

pub(crate) fn priority(number: i64) -> Priority {
    Priority::new(number).unwrap_or_default()
}

pub(crate) fn timestamp(row: &Row<'_>, column: usize) -> Answer<Timestamp> {
    Ok(Timestamp::from_millis(row.get(column)?))
}

pub(crate) fn optional_timestamp(row: &Row<'_>, column: usize) -> Answer<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_millis))
}

pub(crate) fn count16(row: &Row<'_>, column: usize) -> Answer<u16> {
    Ok(u16::try_from(row.get::<_, i64>(column)?).unwrap_or(u16::MAX))
}

pub(crate) fn count32(row: &Row<'_>, column: usize) -> Answer<u32> {
    Ok(u32::try_from(row.get::<_, i64>(column)?).unwrap_or(u32::MAX))
}

pub(crate) fn duration(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// Milliseconds as they are stored; SQLite's integers end at 292 million years.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A size as SQLite's integer.
pub(crate) fn small(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A stored count, which is never negative.
pub(crate) fn amount(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
