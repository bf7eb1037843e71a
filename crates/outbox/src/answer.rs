//! Answers: what the database's JSON text says.
//!
//! ```json
//! {"now_ms":1700000000000,"answers":[{"created":true},{"existing":"019a…","by":"unique_key"}]}
//! {"requests":[17]}
//! {"jobs":[null]}
//! {"jobs":[],"more":false}
//! {"error":{"why":"protocol","oldest":2,"newest":3}}
//! ```

use gristmill_core::{
    Args, Enqueued, ExistingBy, JobId, JobSpec, JobState, Name, NewJob, Receipt, RequestReceipt, Timestamp,
};
use gristmill_sql::Options;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::job::OutboxJob;
use crate::list::OutboxPage;

/// What an answer says, or what is wrong with it.
pub(crate) type Read<T> = Result<T, Fault>;

/// Why there is no answer in a text.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The store accepts other protocols, from the oldest to the newest.
    Protocol { oldest: u32, newest: u32 },
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
    requests: Option<&'a RawValue>,
    #[serde(borrow)]
    jobs: Option<&'a RawValue>,
    more: Option<bool>,
}

#[derive(Deserialize)]
struct Refused {
    why: String,
    oldest: Option<u32>,
    newest: Option<u32>,
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

/// The receipt of the one request that was stored.
pub(crate) fn request(text: &str) -> Read<RequestReceipt> {
    let request = only(member(text, "requests", |envelope| envelope.requests)?)?;
    Ok(RequestReceipt::new(request))
}

/// One job, if it is there.
pub(crate) fn job(text: &str) -> Read<Option<OutboxJob>> {
    let stored: Option<Stored> = only(member(text, "jobs", |envelope| envelope.jobs)?)?;
    stored.map(Stored::into_job).transpose()
}

/// The jobs of a list.
pub(crate) fn page(text: &str) -> Read<OutboxPage> {
    let envelope = envelope(text)?;
    let stored: Vec<Stored> = decoded("jobs", envelope.jobs)?;
    let more = envelope.more.ok_or_else(|| malformed("it has no `more`"))?;
    Ok(OutboxPage { jobs: stored.into_iter().map(Stored::into_job).collect::<Read<_>>()?, more })
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
    decoded(name, choose(&envelope(text)?))
}

fn envelope(text: &str) -> Read<Envelope<'_>> {
    let envelope: Envelope<'_> = serde_json::from_str(text)?;
    match envelope.error {
        None => Ok(envelope),
        Some(Refused { why, oldest, newest, message }) => Err(match (why.as_str(), oldest, newest) {
            ("protocol", Some(oldest), Some(newest)) => Fault::Protocol { oldest, newest },
            _ => Fault::Refused(message.unwrap_or(why)),
        }),
    }
}

fn decoded<'a, T: Deserialize<'a>>(name: &str, json: Option<&'a RawValue>) -> Read<T> {
    let json = json.ok_or_else(|| malformed(format!("it has no `{name}`")))?;
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gristmill_core::IdSource;

    use super::*;

    fn sent(count: usize) -> Vec<NewJob> {
        let name = |text| Name::new(text).expect("a name");
        let (ids, spec) = (IdSource::new(), JobSpec::new(name("kind"), name("queue"), Args::empty()));
        (0..count).map(|_| NewJob::new(ids.next(Timestamp::EPOCH), spec.clone())).collect()
    }

    #[test]
    fn every_answer_to_an_enqueue_is_a_receipt_of_its_job() {
        let (jobs, other) = (sent(3), sent(1)[0].id);
        let text = format!(
            r#"{{"now_ms":1,"answers":[{{"created":true}},{{"existing":"{}","by":"id"}},{{"existing":"{other}","by":"unique_key"}}]}}"#,
            jobs[1].id
        );
        let receipts = receipts(&text, &jobs).expect("it is an answer");
        let wanted = [
            Receipt::new(jobs[0].id, Enqueued::Created),
            Receipt::new(jobs[1].id, Enqueued::Existing { id: jobs[1].id, by: ExistingBy::Id }),
            Receipt::new(jobs[2].id, Enqueued::Existing { id: other, by: ExistingBy::UniqueKey }),
        ];
        assert_eq!(receipts, wanted);
        assert_eq!(receipts[2].id, other);
    }

    #[test]
    fn a_request_is_answered_with_its_number() {
        let receipt = request(r#"{"requests":[9223372036854775807]}"#).expect("it is an answer");
        assert_eq!(receipt.request, 9_223_372_036_854_775_807);
    }

    #[test]
    fn a_job_is_read_with_all_its_options() {
        assert_eq!(job(r#"{"jobs":[null]}"#).expect("it is an answer"), None);
        let id = sent(1)[0].id;
        let text = format!(
            r#"{{"jobs":[{{"id":"{id}","kind":"k","queue":"q","state":"completed","priority":-3,"attempt":2,
            "max_attempts":5,"run_at_ms":10,"created_at_ms":9,"finished_at_ms":11,"args":" {{\"a\":1}}",
            "options":{{"timeout_ms":1500,"tags":["t"]}}}}]}}"#
        );
        let job = job(&text).expect("it is an answer").expect("it is there");
        assert_eq!((job.id, job.state, job.attempt), (id, JobState::Completed, 2));
        assert_eq!((job.spec.args.as_bytes(), job.spec.priority.get()), (&b" {\"a\":1}"[..], -3));
        assert_eq!((job.spec.timeout, job.spec.tags.len()), (Some(Duration::from_millis(1_500)), 1));
        let times = [Some(job.run_at), Some(job.created_at), job.finished_at];
        assert_eq!(times, [10, 9, 11].map(|at| Some(Timestamp::from_millis(at))));
    }

    #[test]
    fn another_version_and_a_reason_are_told() {
        for text in [
            r#"{"error":{"why":"protocol","oldest":2,"newest":3}}"#,
            r#"{"error":{"why":"protocol","oldest":2,"newest":3},"jobs":[]}"#,
        ] {
            assert!(matches!(receipts(text, &[]), Err(Fault::Protocol { oldest: 2, newest: 3 })), "{text}");
            assert!(matches!(request(text), Err(Fault::Protocol { oldest: 2, newest: 3 })), "{text}");
            assert!(matches!(job(text), Err(Fault::Protocol { oldest: 2, newest: 3 })), "{text}");
        }
        let told = request(r#"{"error":{"why":"closed","message":"the shop is closed"}}"#);
        assert!(matches!(told, Err(Fault::Refused(why)) if why == "the shop is closed"));
    }

    #[test]
    fn what_is_no_answer_is_an_error_and_not_a_guess() {
        let jobs = sent(1);
        let malformed = [
            "",
            "null",
            "[]",
            "{}",
            r#"{"answers":null}"#,
            r#"{"answers":[]}"#,
            r#"{"answers":[{}]}"#,
            r#"{"answers":[{"created":false}]}"#,
            r#"{"answers":[{"created":true},{"created":true}]}"#,
            r#"{"answers":[{"created":true,"existing":"019a9b3e-7c00-7000-8000-000000000000"}]}"#,
            r#"{"answers":[{"existing":"019a9b3e-7c00-7000-8000-000000000000","by":"luck"}]}"#,
            r#"{"answers":[{"existing":"x","by":"id"}]}"#,
        ];
        for text in malformed {
            assert!(matches!(receipts(text, &jobs), Err(Fault::Malformed(..))), "{text}");
        }
        let malformed = [
            "{}",
            r#"{"requests":[]}"#,
            r#"{"requests":[-1]}"#,
            r#"{"requests":["1"]}"#,
            r#"{"requests":[1,2]}"#,
        ];
        for text in malformed {
            assert!(matches!(request(text), Err(Fault::Malformed(..))), "{text}");
        }
        for text in [
            r#"{"jobs":[]}"#,
            r#"{"jobs":[null],"more":true}"#,
            r#"{"more":true}"#,
            r#"{"jobs":7,"more":true}"#,
        ] {
            assert!(matches!(page(text), Err(Fault::Malformed(..))), "{text}");
        }
        assert_eq!(page(r#"{"jobs":[],"more":true}"#).expect("it is an answer").jobs, []);
        for text in [r#"{"jobs":[]}"#, r#"{"jobs":[{}]}"#, r#"{"jobs":[null,null]}"#] {
            assert!(matches!(job(text), Err(Fault::Malformed(..))), "{text}");
        }
    }
}
