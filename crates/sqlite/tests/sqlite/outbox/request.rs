//! Requests as the outbox takes them.

use gristmill_core::{Args, JobId, JobPatch, JobSpec, NewJob, When};
use serde_json::{Map, Value, json};

/// The protocol that the tests are written for.
pub(crate) const PROTOCOL: u32 = 2;

pub(crate) fn enqueue(jobs: &[NewJob]) -> Value {
    json!({"protocol": PROTOCOL, "jobs": jobs.iter().map(job).collect::<Vec<_>>()})
}

pub(crate) fn ids(ids: &[JobId]) -> Value {
    json!({"protocol": PROTOCOL, "ids": ids})
}

pub(crate) fn list(mut filter: Value) -> Value {
    filter["protocol"] = json!(PROTOCOL);
    filter
}

pub(crate) fn request(verb: &str, ids: &[JobId], actor: Option<&str>, patch: Option<&JobPatch>) -> Value {
    let mut request = json!({"protocol": PROTOCOL, "verb": verb, "ids": ids, "actor": actor});
    if let Some(patch) = patch {
        let text = gristmill_sql::write_patch(patch.clone()).expect("it is valid");
        request["patch"] = serde_json::from_str(&text).expect("it is JSON");
    }
    request
}

pub(crate) fn job(job: &NewJob) -> Value {
    let spec = &job.spec;
    let mut members = Map::from_iter([
        ("id".to_owned(), json!(job.id)),
        ("kind".to_owned(), json!(spec.kind)),
        ("queue".to_owned(), json!(spec.queue)),
        ("priority".to_owned(), json!(spec.priority)),
        ("max_attempts".to_owned(), json!(spec.max_attempts)),
        ("args".to_owned(), text(&spec.args)),
    ]);
    members.extend(options(spec).map(|options| ("options".to_owned(), options)));
    members.extend(when(job.when));
    Value::Object(members)
}

fn text(args: &Args) -> Value {
    json!(std::str::from_utf8(args.as_bytes()).expect("args are UTF-8"))
}

fn when(when: When) -> Option<(String, Value)> {
    let (name, value) = match when {
        When::After(delay) => ("delay_ms", json!(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX))),
        When::At(at) => ("at_ms", json!(at.as_millis())),
        When::Suspended => ("suspended", json!(true)),
        When::Now => return None,
    };
    Some((name.to_owned(), value))
}

fn options(spec: &JobSpec) -> Option<Value> {
    let mut options = Map::new();
    let mut set =
        |name: &str, value: Option<Value>| options.extend(value.map(|value| (name.to_owned(), value)));
    set("unique_key", spec.unique_key.as_ref().map(|key| json!(key.as_str())));
    set(
        "timeout_ms",
        spec.timeout.map(|timeout| json!(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX))),
    );
    set("retry", spec.retry.as_ref().map(|retry| json!(retry)));
    set("retention", spec.retention.as_ref().map(|retention| json!(retention)));
    set("tags", (!spec.tags.is_empty()).then(|| json!(spec.tags)));
    set("metadata", (!spec.metadata.is_empty()).then(|| json!(spec.metadata)));
    (!options.is_empty()).then_some(Value::Object(options))
}
