//! Answers: what the database's JSON text says.
//!
//! ```json
//! {"now_ms":1700000000000,"answers":[{"created":true},{"existing":"019a…","by":"unique_key"}]}
//! {"verdicts":[{"verdict":"refused","state":"running"}]}
//! {"jobs":[null]}
//! {"error":{"why":"schema","schema":3}}
//! ```

use gristmill_core::{
    Args, Enqueued, ExistingBy, JobId, JobSpec, JobState, Name, NewJob, Receipt, Timestamp, Verdict,
};
use gristmill_sql::Options;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::job::OutboxJob;

/// What an answer says, or what is wrong with it.
pub(crate) type Read<T> = Result<T, Fault>;

/// Why there is no answer in a text.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The store's schema has this version.
    Schema(u32),
    /// The store has another reason.
    Refused(String),
    /// The text is no answer.
    Malformed(String, Option<serde_json::Error>),
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::Malformed("it does not decode".to_owned(), Some(error))
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    error: Option<Refused>,
    #[serde(borrow)]
    answers: Option<&'a RawValue>,
    #[serde(borrow)]
    verdicts: Option<&'a RawValue>,
    #[serde(borrow)]
    jobs: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Refused {
    why: String,
    schema: Option<u32>,
    message: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    created: bool,
    existing: Option<JobId>,
    by: Option<String>,
}

#[derive(Deserialize)]
struct Judged {
    verdict: String,
    state: Option<String>,
}

#[derive(Deserialize)]
struct Stored {
    id: JobId,
    kind: Name,
    queue: Name,
    state: String,
    priority: i64,
    attempt: i64,
    max_attempts: i64,
    run_at_ms: i64,
    created_at_ms: i64,
    finished_at_ms: Option<i64>,
    args: String,
    options: Option<Box<RawValue>>,
}

/// What became of the jobs that were sent, in their order.
pub(crate) fn receipts(text: &str, sent: &[NewJob]) -> Read<Vec<Receipt>> {
    let answers: Vec<Answer> = member(text, "answers", |envelope| envelope.answers)?;
    if answers.len() != sent.len() {
        let (answers, sent) = (answers.len(), sent.len());
        return Err(malformed(format!("it has {answers} answers to {sent} jobs")));
    }
    answers.into_iter().zip(sent).map(|(answer, job)| Ok(Receipt::new(job.id, enqueued(&answer)?))).collect()
}

/// What became of one job under an act.
pub(crate) fn verdict(text: &str) -> Read<Verdict> {
    let Judged { verdict, state } = only(member(text, "verdicts", |envelope| envelope.verdicts)?)?;
    Ok(match verdict.as_str() {
        "done" => Verdict::Done,
        "requested" => Verdict::Requested,
        "already_terminal" => Verdict::AlreadyTerminal,
        "not_found" => Verdict::NotFound,
        "refused" => {
            let state = state.ok_or_else(|| malformed("a refusal names no state"))?;
            Verdict::Refused(self::state(&state)?)
        }
        _ => return Err(malformed(format!("`{}` is no verdict", verdict.escape_debug()))),
    })
}

/// One job, if it is there.
pub(crate) fn job(text: &str) -> Read<Option<OutboxJob>> {
    let stored: Option<Stored> = only(member(text, "jobs", |envelope| envelope.jobs)?)?;
    stored.map(Stored::into_job).transpose()
}

impl Stored {
    fn into_job(self) -> Read<OutboxJob> {
        let mut spec = JobSpec::new(self.kind, self.queue, Args::from_stored(self.args.into_bytes()));
        spec.priority = gristmill_sql::priority(self.priority);
        spec.max_attempts = gristmill_sql::max_attempts(self.max_attempts);
        Options::parse(self.options.as_deref().map(RawValue::get)).into_spec(&mut spec);
        Ok(OutboxJob {
            id: self.id,
            state: state(&self.state)?,
            spec,
            attempt: gristmill_sql::count16(self.attempt),
            run_at: Timestamp::from_millis(self.run_at_ms),
            created_at: Timestamp::from_millis(self.created_at_ms),
            finished_at: self.finished_at_ms.map(Timestamp::from_millis),
        })
    }
}

fn enqueued(answer: &Answer) -> Read<Enqueued> {
    match (answer.created, answer.existing, answer.by.as_deref()) {
        (true, None, _) => Ok(Enqueued::Created),
        (false, Some(id), Some("id")) => Ok(Enqueued::Existing { id, by: ExistingBy::Id }),
        (false, Some(id), Some("unique_key")) => Ok(Enqueued::Existing { id, by: ExistingBy::UniqueKey }),
        _ => Err(malformed("an answer says neither `created` nor `existing` with its `by`")),
    }
}

/// One member of the answer, decoded.
fn member<'a, T: Deserialize<'a>>(
    text: &'a str,
    name: &str,
    choose: impl FnOnce(&Envelope<'a>) -> Option<&'a RawValue>,
) -> Read<T> {
    let envelope: Envelope<'a> = serde_json::from_str(text)?;
    if let Some(Refused { why, schema, message }) = envelope.error {
        return Err(match (why.as_str(), schema) {
            ("schema", Some(schema)) => Fault::Schema(schema),
            _ => Fault::Refused(message.unwrap_or(why)),
        });
    }
    let json = choose(&envelope).ok_or_else(|| malformed(format!("it has no `{name}`")))?;
    Ok(serde_json::from_str(json.get())?)
}

fn only<T>(mut list: Vec<T>) -> Read<T> {
    match (list.pop(), list.is_empty()) {
        (Some(one), true) => Ok(one),
        _ => Err(malformed("it does not speak of one job")),
    }
}

fn state(name: &str) -> Read<JobState> {
    name.parse().map_err(|error: gristmill_core::UnknownState| malformed(error.to_string()))
}

fn malformed(what: impl Into<String>) -> Fault {
    Fault::Malformed(what.into(), None)
}
