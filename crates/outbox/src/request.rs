//! Requests: what a call's JSON text says.
//!
//! ```json
//! {"protocol":2,"jobs":[{"id":"019a…","kind":"k","queue":"default","priority":0,"max_attempts":20,
//!   "args":"{\"a\":1}","options":{"unique_key":"u"},"key":"75","delay_ms":5}]}
//! {"protocol":2,"verb":"update","ids":["019a…"],"actor":null,"patch":{"priority":1,"args":"{}","now":true}}
//! {"protocol":2,"ids":["019a…"]}
//! {"protocol":2,"queue":"mail","state":"available","limit":10}
//! ```
//!
//! Args are text inside of the text, since they are stored byte by byte as they were given. `options` is
//! there where the job has any, `key` (the unique key's bytes in hexadecimal) where it has one; a time is
//! `delay_ms`, `at_ms` or `suspended`, none of them is now.

use std::fmt::Write as _;
use std::time::Duration;

use gristmill_core::{
    Args, Error, JobId, JobPatch, JobState, MAX_ARGS_BYTES, Name, NewJob, Timestamp, Verb, When,
};
use gristmill_sql::{Options, write_patch};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::list::OutboxFilter;

/// The number of the form in which this library writes requests and reads answers. A schema accepts a range
/// of them, so libraries of several releases can use it side by side.
pub(crate) const PROTOCOL: u32 = 2;

#[derive(Serialize)]
struct Enqueue<'j> {
    protocol: u32,
    jobs: Vec<Job<'j>>,
}

#[derive(Serialize)]
struct Job<'j> {
    id: JobId,
    kind: &'j str,
    queue: &'j str,
    priority: i8,
    max_attempts: u16,
    args: &'j str,
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suspended: Option<bool>,
}

#[derive(Serialize)]
struct Act<'a> {
    protocol: u32,
    verb: &'static str,
    ids: [JobId; 1],
    actor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<Box<RawValue>>,
}

#[derive(Serialize)]
struct Get {
    protocol: u32,
    ids: [JobId; 1],
}

#[derive(Serialize)]
struct List<'f> {
    protocol: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<&'f str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'f str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    limit: usize,
}

/// Stores jobs.
///
/// # Errors
/// [`Invalid`](gristmill_core::ErrorKind::Invalid) for args that are no text.
pub(crate) fn enqueue(jobs: &[NewJob]) -> Result<String, Error> {
    let jobs: Result<_, Error> = jobs.iter().map(job).collect();
    Ok(json(&Enqueue { protocol: PROTOCOL, jobs: jobs? }))
}

/// Requests to cancel a job.
pub(crate) fn cancel(id: JobId, actor: Option<&str>) -> String {
    act(Verb::Cancel, id, actor, None)
}

/// Requests to delete a job.
pub(crate) fn delete(id: JobId, actor: Option<&str>) -> String {
    act(Verb::Delete, id, actor, None)
}

/// Requests to change a job.
///
/// # Errors
/// [`Invalid`](gristmill_core::ErrorKind::Invalid) for a patch that breaks a rule of jobs.
pub(crate) fn update(id: JobId, actor: Option<&str>, patch: JobPatch) -> Result<String, Error> {
    if let Some(args) = &patch.args {
        let bytes = text(args)?.len();
        if bytes > MAX_ARGS_BYTES {
            return Err(Error::invalid(format!(
                "args: {bytes} bytes are more than the {MAX_ARGS_BYTES} allowed"
            )));
        }
    }
    let patch = write_patch(patch).map_err(|error| Error::invalid(format!("the patch of {error}")))?;
    Ok(act(Verb::Update, id, actor, RawValue::from_string(patch).ok()))
}

fn act(verb: Verb, id: JobId, actor: Option<&str>, patch: Option<Box<RawValue>>) -> String {
    json(&Act { protocol: PROTOCOL, verb: verb.as_str(), ids: [id], actor, patch })
}

/// Looks at a job.
pub(crate) fn get(id: JobId) -> String {
    json(&Get { protocol: PROTOCOL, ids: [id] })
}

/// Looks at the newest jobs.
pub(crate) fn list(filter: &OutboxFilter) -> String {
    json(&List {
        protocol: PROTOCOL,
        queue: filter.queue.as_ref().map(Name::as_str),
        kind: filter.kind.as_ref().map(Name::as_str),
        state: filter.state.map(JobState::as_str),
        limit: filter.most(),
    })
}

/// Whether a job can be sent: what the rules refuse would abort the caller's transaction in the server.
///
/// # Errors
/// [`Invalid`](gristmill_core::ErrorKind::Invalid) lists everything that is wrong with it.
pub(crate) fn check(job: &NewJob) -> Result<(), Error> {
    job.spec.check().map_err(|error| Error::invalid(format!("job {}: {error}", job.id)))
}

fn args(job: &NewJob) -> Result<&str, Error> {
    text(&job.spec.args).map_err(|error| Error::invalid(format!("job {}: {error}", job.id)))
}

fn job(job: &NewJob) -> Result<Job<'_>, Error> {
    let spec = &job.spec;
    let mut request = Job {
        id: job.id,
        kind: spec.kind.as_str(),
        queue: spec.queue.as_str(),
        priority: spec.priority.get(),
        max_attempts: spec.max_attempts.get(),
        args: args(job)?,
        options: Options::of(spec).and_then(|options| RawValue::from_string(options).ok()),
        key: spec.unique_key.as_ref().map(|key| hex(key.as_str().as_bytes())),
        delay_ms: None,
        at_ms: None,
        suspended: None,
    };
    match job.when {
        When::Now => {}
        When::After(delay) => request.delay_ms = Some(delay_ms(delay)),
        When::At(at) => request.at_ms = Some(at_ms(at)),
        When::Suspended => request.suspended = Some(true),
    }
    Ok(request)
}

/// Args as a text that every database takes. Checked args are one; those of [`Args::from_stored`] need not
/// be.
///
/// [`Args::from_stored`]: gristmill_core::Args::from_stored
fn text(args: &Args) -> Result<&str, Error> {
    if let Some(codec) = args.encoding().codec() {
        let message = format!("args: written by the codec `{codec}`; the outbox takes JSON");
        return Err(Error::invalid(message));
    }
    match std::str::from_utf8(args.as_bytes()) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err(Error::invalid("args: not valid JSON: not a text in UTF-8 without NUL")),
    }
}

fn delay_ms(delay: Duration) -> i64 {
    gristmill_sql::millis(delay).min(Timestamp::MAX.as_millis())
}

/// An instant in milliseconds since 1970. One before is the past like any other.
fn at_ms(at: Timestamp) -> i64 {
    at.as_millis().max(0)
}

/// Two digits a byte.
fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

fn json(request: &impl Serialize) -> String {
    serde_json::to_string(request).expect("a request has string keys only and is always JSON")
}

#[cfg(test)]
mod tests {
    use gristmill_core::{Encoding, IdSource, JobOptions, Name, Priority};
    use serde_json::{Value, json};

    use super::*;

    fn new_job(args: Args, options: JobOptions) -> NewJob {
        options.prepare(IdSource::new().next(Timestamp::from_millis(1)), "k", args).expect("it is valid")
    }

    fn sent(job: &NewJob) -> Value {
        let text = enqueue(std::slice::from_ref(job)).expect("it can be sent");
        assert!(!text.contains('\0'), "{text:?}");
        let mut request: Value = serde_json::from_str(&text).expect("it is JSON");
        assert_eq!(request["protocol"], PROTOCOL);
        request["jobs"][0].take()
    }

    #[test]
    fn a_plain_job_has_no_members_it_does_not_need() {
        let job = new_job(Args::empty(), JobOptions::new());
        let wanted = json!({
            "id": job.id.to_string(), "kind": "k", "queue": "default", "priority": 0, "max_attempts": 20, "args": "{}",
        });
        assert_eq!(sent(&job), wanted);
    }

    #[test]
    fn args_come_out_byte_by_byte_as_they_went_in() {
        let texts = [
            r#"{"a":1,"a":2}"#,
            r#" [1.0, "\\u0000", "\ud83d\ude00", "é😀", "\"\\\n"] "#,
            "\"\u{7f}\u{2028}\"",
            "18446744073709551615",
        ];
        for text in texts {
            let job = new_job(Args::from_json(text).expect("they are valid"), JobOptions::new());
            assert_eq!(sent(&job)["args"], text);
        }
    }

    #[test]
    fn args_that_are_no_text_are_refused_and_the_job_is_named() {
        for bytes in [&b"\"\xff\""[..], b"\"\0\"", b"\"\xed\xa0\x80\""] {
            let mut job = new_job(Args::empty(), JobOptions::new());
            job.spec.args = Args::from_stored(bytes.to_vec());
            let error = check(&job).expect_err("they are no text");
            assert!(error.to_string().contains(&job.id.to_string()), "{error}");
            assert!(enqueue(&[job]).is_err());
        }
    }

    #[test]
    fn a_key_travels_as_text_and_as_the_hexadecimal_form_of_its_bytes() {
        let job = new_job(Args::empty(), JobOptions::new().unique_key("é/\"1"));
        let sent = sent(&job);
        assert_eq!(sent["key"], "c3a92f2231");
        assert_eq!(sent["options"], json!({"unique_key": "é/\"1"}));
    }

    #[test]
    fn a_time_is_one_of_delay_instant_and_hold() {
        let at = |at| sent(&new_job(Args::empty(), JobOptions::new().run_at(Timestamp::from_millis(at))));
        let after = |delay| sent(&new_job(Args::empty(), JobOptions::new().delay(delay)));
        assert_eq!(at(1_700_000_000_000)["at_ms"], 1_700_000_000_000_i64);
        assert_eq!(at(-5)["at_ms"], 0);
        assert_eq!(after(Duration::from_millis(5))["delay_ms"], 5);
        assert_eq!(after(Duration::MAX)["delay_ms"], Timestamp::MAX.as_millis());
        assert_eq!(sent(&new_job(Args::empty(), JobOptions::new().suspended()))["suspended"], true);
    }

    #[test]
    fn requests_name_the_verb_the_job_the_actor_and_what_changes() {
        let id = IdSource::new().next(Timestamp::from_millis(1));
        let of = |verb: &str, more: &str| {
            format!(r#"{{"protocol":{PROTOCOL},"verb":"{verb}","ids":["{id}"],{more}}}"#)
        };
        assert_eq!(cancel(id, None), of("cancel", r#""actor":null"#));
        assert_eq!(delete(id, Some("ops")), of("delete", r#""actor":"ops""#));
        assert_eq!(get(id), format!(r#"{{"protocol":{PROTOCOL},"ids":["{id}"]}}"#));
        let mut patch = JobPatch::default();
        patch.priority = Some(Priority::FIRST);
        patch.when = Some(When::Now);
        let wanted = of("update", r#""actor":"ops","patch":{"priority":-10,"now":true}"#);
        assert_eq!(update(id, Some("ops"), patch).expect("it can be sent"), wanted);
    }

    #[test]
    fn a_list_names_what_it_is_filtered_by_and_a_limit_in_range() {
        let of = |more: &str| format!(r#"{{"protocol":{PROTOCOL},{more}}}"#);
        assert_eq!(list(&OutboxFilter::new()), of(r#""limit":100"#));
        let name = |text| Name::new(text).expect("it is a name");
        let filter = OutboxFilter::new().queue(name("q")).kind(name("k")).state(JobState::Running).limit(0);
        assert_eq!(list(&filter), of(r#""queue":"q","kind":"k","state":"running","limit":1"#));
        assert_eq!(list(&OutboxFilter::new().limit(101)), of(r#""limit":100"#));
    }

    #[test]
    fn a_patch_that_breaks_a_rule_is_refused_before_it_is_sent() {
        let id = IdSource::new().next(Timestamp::from_millis(1));
        let stored = [&b"\"\xff\""[..], b"{", b"\"\\u0000\"", b"[1e400]"].map(Args::from_stored);
        let codec = Encoding::named(Name::new("zstd").expect("a name"));
        let encoded = Args::encoded(&b"{}"[..], codec).expect("it is small");
        for args in stored.into_iter().chain([encoded]) {
            let mut patch = JobPatch::default();
            patch.args = Some(args);
            let error = update(id, None, patch).expect_err("it breaks a rule");
            assert_eq!(error.kind(), gristmill_core::ErrorKind::Invalid, "{error}");
        }
    }
}
