//! Between Rust's types and SQLite's values.

use std::borrow::Cow;
use std::num::NonZeroU16;

use gristmill_core::{Encoding, JobId, JobSpec, Name, Retention, Timestamp, UniqueKey, WorkerId};
use rusqlite::Row;
use rusqlite::types::ValueRef;

pub(crate) use gristmill_sql::{
    amount, duration, ended_by, ended_by_number, ending, ending_number, has_options, millis, priority,
    read_metadata, read_names, read_retry, run_error, size, state, state_number, write_names,
};

/// The columns of a job's spec but kind, queue, priority and args, from `first` on: max_attempts, unique_key,
/// timeout_ms, retry, retention, tags, metadata.
///
/// An option that does not decode counts as not set: a newer version may have written it, and a job may not
/// be lost, or its queue held up, for that.
pub(crate) fn read_options(row: &Row<'_>, first: usize, spec: &mut JobSpec) {
    spec.max_attempts = max_attempts(row, first);
    spec.unique_key = text(row, first + 1).and_then(|key| UniqueKey::new(&*key).ok());
    spec.timeout = optional_integer(row, first + 2).filter(|millis| *millis > 0).map(duration);
    spec.retry = text(row, first + 3).and_then(|json| read_retry(&json)).map(Box::new);
    spec.retention = read_retention(row, first + 4).map(Box::new);
    if let Some(json) = text(row, first + 5) {
        spec.tags = read_names(&json);
    }
    if let Some(json) = text(row, first + 6) {
        spec.metadata = read_metadata(&json);
    }
}

/// Sets in a spec the codec that has written the args, if a column names one.
pub(crate) fn read_encoding(row: &Row<'_>, column: usize, spec: &mut JobSpec) {
    if let Some(codec) = text(row, column).and_then(|codec| Name::new(&*codec).ok()) {
        spec.args = spec.args.clone().stored_as(Encoding::named(codec));
    }
}

pub(crate) fn max_attempts(row: &Row<'_>, column: usize) -> NonZeroU16 {
    gristmill_sql::max_attempts(integer(row, column))
}

pub(crate) fn read_retention(row: &Row<'_>, column: usize) -> Option<Retention> {
    text(row, column).and_then(|json| gristmill_sql::read_retention(&json))
}

// What a column of a row holds. None of these fails: a value that cannot be what was stored becomes the
// nearest that can, and where there is none the reader of the row notes it (`Unread`).

/// A column's value; NULL for a column that the statement does not have.
fn value<'r>(row: &'r Row<'_>, column: usize) -> ValueRef<'r> {
    row.get_ref(column).unwrap_or(ValueRef::Null)
}

/// Whether a column holds anything.
pub(crate) fn has(row: &Row<'_>, column: usize) -> bool {
    value(row, column) != ValueRef::Null
}

/// A column's number; 0 where it holds none.
pub(crate) fn integer(row: &Row<'_>, column: usize) -> i64 {
    optional_integer(row, column).unwrap_or(0)
}

pub(crate) fn optional_integer(row: &Row<'_>, column: usize) -> Option<i64> {
    value(row, column).as_i64().ok()
}

/// A column's text, without a copy where it is one.
pub(crate) fn text<'r>(row: &'r Row<'_>, column: usize) -> Option<Cow<'r, str>> {
    match value(row, column) {
        ValueRef::Null => None,
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(String::from_utf8_lossy(bytes)),
        ValueRef::Integer(number) => Some(number.to_string().into()),
        ValueRef::Real(number) => Some(number.to_string().into()),
    }
}

/// A column's text to keep.
pub(crate) fn string(row: &Row<'_>, column: usize) -> Option<String> {
    text(row, column).map(Cow::into_owned)
}

/// A column's bytes without a copy; none where it holds a number.
pub(crate) fn blob<'r>(row: &'r Row<'_>, column: usize) -> &'r [u8] {
    match value(row, column) {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes,
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => &[],
    }
}

pub(crate) fn job_id(row: &Row<'_>, column: usize) -> JobId {
    JobId::from_bytes(sixteen(blob(row, column)))
}

pub(crate) fn worker_id(row: &Row<'_>, column: usize) -> WorkerId {
    WorkerId::from_u128(wide(blob(row, column)))
}

/// The bytes of a worker's id, as they are stored.
pub(crate) fn worker_bytes(worker: WorkerId) -> [u8; 16] {
    worker.as_u128().to_be_bytes()
}

pub(crate) fn wide(bytes: &[u8]) -> u128 {
    u128::from_be_bytes(sixteen(bytes))
}

/// The first sixteen bytes; zeros for those that are missing. An id of another length is none that anything
/// refers to.
fn sixteen(bytes: &[u8]) -> [u8; 16] {
    let mut all = [0; 16];
    for (to, from) in all.iter_mut().zip(bytes) {
        *to = *from;
    }
    all
}

pub(crate) fn timestamp(row: &Row<'_>, column: usize) -> Timestamp {
    Timestamp::from_millis(integer(row, column))
}

pub(crate) fn optional_timestamp(row: &Row<'_>, column: usize) -> Option<Timestamp> {
    optional_integer(row, column).map(Timestamp::from_millis)
}

pub(crate) fn count16(row: &Row<'_>, column: usize) -> u16 {
    gristmill_sql::count16(integer(row, column))
}

pub(crate) fn count32(row: &Row<'_>, column: usize) -> u32 {
    gristmill_sql::count32(integer(row, column))
}
