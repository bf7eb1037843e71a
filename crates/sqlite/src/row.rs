//! Between Rust's types and SQLite's values.

use std::num::NonZeroU16;

use gristmill_core::{
    Ending, JobId, JobSpec, JobState, Metadata, Name, Retention, Timestamp, UniqueKey, WorkerId,
};
use rusqlite::Row;
use rusqlite::types::ValueRef;

use crate::error::{Answer, undecodable};

pub(crate) use gristmill_sql::{
    amount, duration, ending_number, has_options, millis, priority, read_names, run_error, size,
    state_number, write_names,
};

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
    Ok(gristmill_sql::max_attempts(row.get(column)?))
}

pub(crate) fn read_retention(row: &Row<'_>, column: usize) -> Answer<Option<Retention>> {
    Ok(text(row, column)?.and_then(|json| serde_json::from_str(json).ok()))
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
    Ok(gristmill_sql::state(number).ok_or_else(|| undecodable("state"))?)
}

pub(crate) fn ending(number: i64) -> Answer<Ending> {
    Ok(gristmill_sql::ending(number).ok_or_else(|| undecodable("ending"))?)
}

pub(crate) fn timestamp(row: &Row<'_>, column: usize) -> Answer<Timestamp> {
    Ok(Timestamp::from_millis(row.get(column)?))
}

pub(crate) fn optional_timestamp(row: &Row<'_>, column: usize) -> Answer<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_millis))
}

pub(crate) fn count16(row: &Row<'_>, column: usize) -> Answer<u16> {
    Ok(gristmill_sql::count16(row.get(column)?))
}

pub(crate) fn count32(row: &Row<'_>, column: usize) -> Answer<u32> {
    Ok(gristmill_sql::count32(row.get(column)?))
}
