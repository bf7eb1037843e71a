//! What a raw request can say, a library does not send: each entry of the testkit's list is refused before it
//! is sent, or is nothing that a program can make.

use std::num::NonZeroU16;
use std::time::Duration;

use gristmill_core::{
    Args, ErrorKind, JobId, JobSpec, Metadata, Name, NewJob, Priority, Retention, RetryPolicy, Timestamp,
    UniqueKey, When,
};
use gristmill_outbox::{BlockingDriver, Call, Database, Outbox, Refusal};
use gristmill_testkit::REFUSED_JOBS;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Keeps what it was sent.
struct Sent<'s>(&'s mut Vec<String>);

impl BlockingDriver for Sent<'_> {
    fn database(&self) -> Database {
        Database::Postgres
    }

    fn send(&mut self, call: &Call) -> Result<String, Refusal> {
        self.0.push(call.request().to_owned());
        Ok(r#"{"now_ms":0,"answers":[{"created":true}]}"#.to_owned())
    }
}

/// A job as far as a program could make it of a request, member by member.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: JobId,
    kind: Name,
    queue: Name,
    priority: Priority,
    max_attempts: NonZeroU16,
    args: String,
    options: Option<Options>,
    key: Option<String>,
    delay_ms: Option<u64>,
    at_ms: Option<i64>,
    suspended: Option<bool>,
}

#[derive(Deserialize)]
struct Options {
    unique_key: Option<String>,
    timeout_ms: Option<u64>,
    retry: Option<RetryPolicy>,
    retention: Option<Retention>,
    #[serde(default)]
    tags: Vec<Name>,
    metadata: Option<Box<RawValue>>,
}

fn made(text: &str) -> Option<NewJob> {
    let written: Written = serde_json::from_str(text).ok()?;
    let mut spec = JobSpec::new(written.kind, written.queue, Args::from_stored(written.args.into_bytes()));
    (spec.priority, spec.max_attempts) = (written.priority, written.max_attempts);
    if let Some(options) = written.options {
        spec.unique_key = options.unique_key.map(UniqueKey::new).transpose().ok()?;
        spec.timeout = options.timeout_ms.map(Duration::from_millis);
        spec.retry = options.retry.map(Box::new);
        spec.retention = options.retention.map(Box::new);
        spec.tags = options.tags;
        if let Some(metadata) = options.metadata {
            spec.metadata = Metadata::from_json(metadata.get()).ok()?;
        }
    }
    let mut job = NewJob::new(written.id, spec);
    job.when = match (written.delay_ms, written.at_ms, written.suspended) {
        (None, None, None | Some(false)) => When::Now,
        (Some(delay), None, None) => When::After(Duration::from_millis(delay)),
        (None, Some(at), None) => When::At(Timestamp::from_millis(at)),
        (None, None, Some(true)) => When::Suspended,
        _ => return None,
    };
    let _ = written.key;
    Some(job)
}

#[test]
fn nothing_that_every_library_refuses_is_sent() {
    let outbox = Outbox::postgres();
    let (mut refused, mut sent) = (0, Vec::new());
    for (right, wrong) in REFUSED_JOBS {
        let good = format!(
            r#"{{"id":"{}","kind":"work","queue":"line","priority":0,"max_attempts":20,"args":"{{}}"}}"#,
            outbox.mint_id()
        );
        let lie = good.replacen(right, wrong, 1);
        assert_ne!(lie, good, "{right}");
        let Some(job) = made(&lie) else {
            refused += 1;
            continue;
        };
        sent.clear();
        if let Err(error) = outbox.in_blocking_transaction(Sent(&mut sent)).enqueue_prepared(&[job]) {
            assert_eq!(error.kind(), ErrorKind::Invalid, "{wrong}: {error}");
            assert!(sent.is_empty(), "{wrong}");
            refused += 1;
        } else {
            let member = wrong.trim_start_matches(right).trim_start_matches(',');
            assert!(!sent[0].contains(member), "{wrong}: {}", sent[0]);
        }
    }
    assert!(refused > REFUSED_JOBS.len() * 8 / 10, "{refused}");
}
