//! A job, its runs and its events.

use gristmill::{
    JobEvent, JobId, JobRecord, JobState, Metadata, Name, Priority, RunRecord, Timestamp, UniqueKey,
    format_duration,
};
use serde::Serialize;
use serde_json::value::RawValue;

/// A line of `jobs list --json`, and `jobs show --json`:
///
/// ```json
/// {"id":"…","kind":"checksum","queue":"default","state":"completed","priority":0,"attempt":1,
///  "max_attempts":20,"run_at":"…",
///  "created_at":"…","attempted_at":"…","finished_at":"…","worker":"…","tags":[],
///  "metadata":{},"args":{},"output":null,"errors":[{"attempt":1,"at":"…","outcome":"failed","message":"…"}]}
/// ```
#[derive(Debug, Serialize)]
pub(crate) struct JobShape<'a> {
    id: JobId,
    kind: &'a Name,
    queue: &'a Name,
    state: JobState,
    priority: Priority,
    attempt: u16,
    max_attempts: u16,
    run_at: Timestamp,
    created_at: Timestamp,
    attempted_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    worker: Option<String>,
    tags: &'a [Name],
    metadata: &'a Metadata,
    args: Box<RawValue>,
    /// The codec that has written the args; none for JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    codec: Option<&'a Name>,
    output: Option<Box<RawValue>>,
    errors: Vec<ErrorShape<'a>>,
    /// What of the stored row cannot be read; absent where all can.
    #[serde(skip_serializing_if = "Option::is_none")]
    undecodable: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cancel_requested: bool,
    /// As a line of `enqueue --file` has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unique_key: Option<&'a str>,
    /// Per cent.
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<u8>,
    /// What `jobs show` has beside what a list has.
    #[serde(skip_serializing_if = "Option::is_none")]
    runs: Option<Vec<RunJson<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<Vec<EventJson<'a>>>,
}

/// A run with its log.
#[derive(Debug, Serialize)]
struct RunJson<'a> {
    run: u32,
    attempt: u16,
    ending: String,
    started_at: Option<Timestamp>,
    finished_at: Timestamp,
    worker: String,
    reason: Option<&'a str>,
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    undecodable: Option<&'a str>,
    log: Vec<LogJson<'a>>,
}

#[derive(Debug, Serialize)]
struct LogJson<'a> {
    at: Timestamp,
    text: &'a str,
}

/// Something that happened to a job outside its runs.
#[derive(Debug, Serialize)]
struct EventJson<'a> {
    at: Timestamp,
    what: &'a str,
    actor: Option<&'a str>,
    detail: Option<&'a str>,
}

impl<'a> JobShape<'a> {
    /// The job with its runs and what happened to it outside of them.
    pub(crate) fn with_history(mut self, runs: &'a [RunRecord], events: &'a [JobEvent]) -> Self {
        let run = |run: &'a RunRecord| RunJson {
            run: run.run,
            attempt: run.attempt,
            ending: run.ending.to_string(),
            started_at: run.started_at,
            finished_at: run.finished_at,
            worker: run.worker.to_string(),
            reason: run.reason.as_deref(),
            error: run.error.as_ref().map(|error| error.message.as_str()),
            undecodable: run.undecodable.as_deref(),
            log: run.log.iter().map(|line| LogJson { at: line.at, text: &line.text }).collect(),
        };
        let event = |event: &'a JobEvent| EventJson {
            at: event.at,
            what: &event.what,
            actor: event.actor.as_deref(),
            detail: event.detail.as_deref(),
        };
        self.runs = Some(runs.iter().map(run).collect());
        self.events = Some(events.iter().map(event).collect());
        self
    }
}

#[derive(Debug, Serialize)]
struct ErrorShape<'a> {
    attempt: u16,
    at: Timestamp,
    outcome: &'static str,
    message: &'a str,
}

impl<'a> From<&'a JobRecord> for JobShape<'a> {
    fn from(job: &'a JobRecord) -> Self {
        let errors = job.errors.iter().map(|error| ErrorShape {
            attempt: error.attempt,
            at: error.at,
            outcome: error.ending.as_str(),
            message: &error.message,
        });
        Self {
            id: job.id,
            kind: &job.spec.kind,
            queue: &job.spec.queue,
            state: job.state,
            priority: job.spec.priority,
            attempt: job.attempt,
            max_attempts: job.spec.max_attempts.get(),
            run_at: job.run_at,
            created_at: job.created_at,
            attempted_at: job.attempted_at,
            finished_at: job.finished_at,
            worker: job.worker.map(|worker| worker.to_string()),
            tags: &job.spec.tags,
            metadata: &job.spec.metadata,
            args: raw(job.spec.args.as_bytes()),
            codec: job.spec.args.encoding().codec(),
            output: job.output.as_ref().map(|output| raw(output.as_bytes())),
            errors: errors.collect(),
            undecodable: job.undecodable.as_deref(),
            reason: job.reason.as_deref(),
            cancel_requested: job.cancel_requested,
            timeout: job.spec.timeout.map(format_duration),
            unique_key: job.spec.unique_key.as_ref().map(UniqueKey::as_str),
            progress: job.progress,
            runs: None,
            events: None,
        }
    }
}

/// A run in a job's timeline, for people and for `jobs show`.
#[derive(Debug)]
pub(crate) struct RunShape<'a>(pub(crate) &'a RunRecord);

impl RunShape<'_> {
    /// The headings of its columns.
    pub(crate) const HEADINGS: [&'static str; 6] = ["RUN", "ATTEMPT", "ENDING", "STARTED", "ENDED", "WHY"];

    /// Its columns.
    pub(crate) fn cells(&self) -> [String; 6] {
        let run = self.0;
        let why = run.undecodable.as_ref().map(|what| format!("undecodable: {what}"));
        let why = why.or_else(|| run.error.as_ref().map(|error| error.message.clone()));
        let why = why.or_else(|| run.reason.clone());
        [
            run.run.to_string(),
            run.attempt.to_string(),
            run.ending.to_string(),
            run.started_at.map(|at| at.to_string()).unwrap_or_default(),
            run.finished_at.to_string(),
            why.unwrap_or_default(),
        ]
    }
}

/// Something that happened to a job outside its runs.
#[derive(Debug)]
pub(crate) struct EventShape<'a>(pub(crate) &'a JobEvent);

impl EventShape<'_> {
    /// One line.
    pub(crate) fn text(&self) -> String {
        let event = self.0;
        let actor = event.actor.as_deref().map(|actor| format!(" by {actor}")).unwrap_or_default();
        let detail = event.detail.as_deref().map(|detail| format!(": {detail}")).unwrap_or_default();
        format!("{} {}{actor}{detail}", event.at, event.what)
    }
}

/// Stored JSON as it is; what is no JSON, which only a damaged store holds, as a string.
fn raw(bytes: &[u8]) -> Box<RawValue> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    RawValue::from_string(text).unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(bytes);
        serde_json::value::to_raw_value(&text).expect("a string is always JSON")
    })
}
