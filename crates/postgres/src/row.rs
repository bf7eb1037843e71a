//! Between Rust's types and the columns of rows.

use std::num::NonZeroU16;

use gristmill_core::{Args, Ending, JobId, JobSpec, JobState, Name, Priority, Timestamp, WorkerId};
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;
use uuid::Uuid;

use crate::error::Answer;

pub(crate) use gristmill_sql::{
    Options, amount, duration, ended_by_number, ending_number, millis, run_error, size, state_number,
    write_names,
};

/// A spec from its columns; its options are still to be set.
pub(crate) fn spec(kind: Name, queue: Name, priority: i16, max_attempts: i32, args: Args) -> JobSpec {
    let mut spec = JobSpec::new(kind, queue, args);
    spec.priority = self::priority(priority);
    spec.max_attempts = self::max_attempts(max_attempts);
    spec
}

pub(crate) fn max_attempts(stored: i32) -> NonZeroU16 {
    gristmill_sql::max_attempts(stored.into())
}

pub(crate) fn priority(stored: i16) -> Priority {
    gristmill_sql::priority(stored.into())
}

pub(crate) fn job_id(id: Uuid) -> JobId {
    JobId::from_bytes(id.into_bytes())
}

pub(crate) fn uuid(id: JobId) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}

pub(crate) fn worker_id(worker: Uuid) -> WorkerId {
    WorkerId::from_u128(worker.as_u128())
}

pub(crate) fn worker_uuid(worker: WorkerId) -> Uuid {
    Uuid::from_u128(worker.as_u128())
}

/// A column's value; the default for NULL, which no column holds that has to have a value.
pub(crate) fn get<'r, T: FromSql<'r> + Default>(row: &'r Row, column: usize) -> Answer<T> {
    Ok(row.try_get::<_, Option<T>>(column)?.unwrap_or_default())
}

pub(crate) fn state(number: i16) -> Option<JobState> {
    gristmill_sql::state(number.into())
}

pub(crate) fn ending(number: i16) -> Option<Ending> {
    gristmill_sql::ending(number.into())
}

pub(crate) fn timestamp(row: &Row, column: usize) -> Answer<Timestamp> {
    Ok(Timestamp::from_millis(get(row, column)?))
}

pub(crate) fn optional_timestamp(row: &Row, column: usize) -> Answer<Option<Timestamp>> {
    Ok(row.try_get::<_, Option<i64>>(column)?.map(Timestamp::from_millis))
}

/// A stored count of attempts or crashes.
pub(crate) fn count16(stored: i32) -> u16 {
    gristmill_sql::count16(stored.into())
}

/// A stored number of runs.
pub(crate) fn count32(stored: i32) -> u32 {
    gristmill_sql::count32(stored.into())
}

/// A number of runs as it is stored; the last one there can be is [`LAST_RUN`].
pub(crate) fn run(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// No run comes after this one: the column ends here.
pub(crate) const LAST_RUN: u32 = 0x7fff_fffe;

/// A text as PostgreSQL takes it: without the character NUL, which it cannot store.
pub(crate) fn storable(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}

/// Crashes in a row as they are stored.
pub(crate) fn crashes(number: u16) -> i16 {
    i16::try_from(number).unwrap_or(i16::MAX)
}

/// When an id was made: the first 48 bits of a UUID v7.
pub(crate) fn made_at(id: Uuid) -> Timestamp {
    let (high, _) = id.as_u64_pair();
    Timestamp::from_millis((high >> 16).cast_signed())
}
