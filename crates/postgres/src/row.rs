//! Between Rust's types and the columns of rows.

use std::num::NonZeroU16;
use std::time::Duration;

use gristmill_core::{
    Args, Ending, JobId, JobSpec, JobState, Metadata, Name, Priority, Retention, RetryPolicy, Timestamp,
    UniqueKey, WorkerId,
};
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::error::{Answer, undecodable};

pub(crate) use gristmill_sql::{
    amount, duration, ending_number, millis, read_names, run_error, size, state_number, write_names,
};

/// What few jobs have, as the column `options` keeps it:
/// `{"unique_key":"k","timeout_ms":1000,"retry":{…},"retention":{…},"tags":["t"],"metadata":{…}}`, each member only where
/// it is set. A member that does not decode counts as not set: a newer version may have written it, and a job may not be
/// lost, or its queue held up, for that.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Options {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unique_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub(crate) retry: Option<RetryPolicy>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub(crate) retention: Option<Retention>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Box<serde_json::value::RawValue>>,
}

fn lenient<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: serde::de::DeserializeOwned,
{
    let value = Option::<serde_json::Value>::deserialize(deserializer)?;
    Ok(value.and_then(|value| serde_json::from_value(value).ok()))
}

impl Options {
    /// The column's text; `None` for a job without options.
    pub(crate) fn of(spec: &JobSpec) -> Option<String> {
        gristmill_sql::has_options(spec).then(|| {
            let metadata = (!spec.metadata.is_empty()).then(|| spec.metadata.to_json());
            let options = Self {
                unique_key: spec.unique_key.as_ref().map(|key| key.as_str().to_owned()),
                timeout_ms: spec
                    .timeout
                    .map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
                retry: spec.retry.as_deref().cloned(),
                retention: spec.retention.as_deref().copied(),
                tags: spec.tags.clone(),
                metadata: metadata.and_then(|json| serde_json::value::RawValue::from_string(json).ok()),
            };
            serde_json::to_string(&options).expect("options are always JSON")
        })
    }

    pub(crate) fn parse(text: Option<&str>) -> Self {
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    /// Sets what is there in a spec.
    pub(crate) fn into_spec(self, spec: &mut JobSpec) {
        spec.unique_key = self.unique_key.and_then(|key| UniqueKey::new(key).ok());
        spec.timeout = self.timeout_ms.map(Duration::from_millis);
        spec.retry = self.retry.map(Box::new);
        spec.retention = self.retention.map(Box::new);
        spec.tags = self.tags;
        if let Some(json) = self.metadata {
            spec.metadata = Metadata::from_json(json.get()).unwrap_or_default();
        }
    }
}

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

pub(crate) fn state(number: i16) -> Answer<JobState> {
    Ok(gristmill_sql::state(number.into()).ok_or_else(|| undecodable("state"))?)
}

pub(crate) fn ending(number: i16) -> Answer<Ending> {
    Ok(gristmill_sql::ending(number.into()).ok_or_else(|| undecodable("ending"))?)
}

pub(crate) fn name(text: &str) -> Answer<Name> {
    Ok(Name::new(text).map_err(|_| undecodable("name"))?)
}

pub(crate) fn timestamp(row: &Row, column: usize) -> Answer<Timestamp> {
    Ok(Timestamp::from_millis(row.try_get(column)?))
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
