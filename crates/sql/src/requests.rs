//! Requests to cancel, update or delete jobs: rows that an outbox stores in the caller's transaction and that
//! maintenance applies after the commit.
//!
//! ```text
//!   outbox_request ──▶ row of `requests` ──▶ promote: decode ─▶ group ─▶ the verb ──▶ row deleted
//!   (caller's transaction)                            └─ fault: the row keeps the text and is skipped
//! ```

use std::num::NonZeroU16;
use std::ops::Range;
use std::time::Duration;

use gristmill_core::{
    Args, InvalidJob, JobId, JobPatch, MAX_ARGS_BYTES_HARD, Priority, Timestamp, Verb, Verdict, When,
};
use serde::{Deserialize, Serialize};

use crate::column::millis;

/// The most requests that a round applies.
pub const REQUESTS_PER_ROUND: usize = 100;

/// When a request is tried again whose job another transaction has locked.
pub const REQUEST_PAUSE: Duration = Duration::from_secs(1);

/// The event of a job for which a request was refused when it was applied.
pub const REQUEST_REFUSED: &str = "request refused";

/// The detail of that event, such as `update: the job is running`; `None` for a verdict that is no refusal,
/// and for a job that does not exist and so has no events.
pub fn refusal_detail(verb: Verb, verdict: &Verdict) -> Option<String> {
    let why = match verdict {
        Verdict::Done | Verdict::Requested | Verdict::NotFound => return None,
        Verdict::AlreadyTerminal => "the job has ended".to_owned(),
        Verdict::Conflict(holder) => format!("job {holder} holds its unique key"),
        Verdict::Refused(state) => format!("the job is {state}"),
    };
    Some(format!("{}: {why}", verb.as_str()))
}

/// A row of `requests`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRequest {
    /// Its number; numbers grow in the order of the inserts.
    pub request: i64,
    /// The job.
    pub id: JobId,
    /// `cancel`, `update` or `delete`.
    pub verb: String,
    /// What an update changes, as [`write_patch`] writes it.
    pub patch: Option<String>,
    /// Who requested it.
    pub actor: Option<String>,
}

impl StoredRequest {
    /// What is to be done to the job.
    ///
    /// # Errors
    /// A text for people that says what does not decode. The row is to be set aside with it.
    pub fn decode(&self) -> Result<(Verb, Option<JobPatch>), String> {
        match (self.verb.as_str(), self.patch.as_deref()) {
            ("cancel", None) => Ok((Verb::Cancel, None)),
            ("delete", None) => Ok((Verb::Delete, None)),
            ("update", Some(patch)) => Ok((Verb::Update, Some(read_patch(patch)?))),
            ("update", None) => Err("an update has no patch".to_owned()),
            ("cancel" | "delete", Some(_)) => Err(format!("a {} has a patch", self.verb)),
            (verb, _) => Err(format!("the verb `{}` is not known", verb.escape_debug())),
        }
    }

    fn goes_with(&self, other: &Self) -> bool {
        (&self.verb, &self.patch, &self.actor) == (&other.verb, &other.patch, &other.actor)
    }
}

/// The places of requests, in their order, cut into the longest runs with equal verb, patch and actor. Each
/// run is one call of its verb.
///
/// ```
/// use gristmill_core::JobId;
/// use gristmill_sql::{StoredRequest, request_groups};
///
/// let row = |request, verb: &str| StoredRequest {
///     request,
///     id: JobId::from_bytes([0; 16]),
///     verb: verb.to_owned(),
///     patch: None,
///     actor: None,
/// };
/// let rows = [row(1, "cancel"), row(2, "cancel"), row(3, "delete"), row(4, "cancel")];
/// assert_eq!(request_groups(&rows), [0..2, 2..3, 3..4]);
/// ```
pub fn request_groups(rows: &[StoredRequest]) -> Vec<Range<usize>> {
    let mut begin = 0;
    rows.chunk_by(StoredRequest::goes_with)
        .map(|group| {
            let range = begin..begin + group.len();
            begin = range.end;
            range
        })
        .collect()
}

/// A patch as the column and the protocol of the outbox hold it; a time is one of `delay_ms`, `at_ms` and
/// `now`.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_attempts: Option<NonZeroU16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<bool>,
}

/// A patch as JSON: `{"priority":-3,"args":"{\"n\":1}","delay_ms":5000}`. A delay counts from when the
/// request is applied. [`When::Suspended`] leaves the time as it is.
///
/// # Errors
/// [`InvalidJob`] if the patch breaks a rule of jobs.
pub fn write_patch(patch: JobPatch) -> Result<String, InvalidJob> {
    patch.check()?;
    let args = patch.args.map(|args| String::from_utf8_lossy(&args.into_bytes()).into_owned());
    let mut written = Patch {
        priority: patch.priority.map(|priority| priority.get().into()),
        max_attempts: patch.max_attempts,
        args,
        ..Patch::default()
    };
    match patch.when {
        Some(When::Now) => written.now = Some(true),
        Some(When::After(delay)) => {
            written.delay_ms = u64::try_from(millis(delay).min(Timestamp::MAX.as_millis())).ok();
        }
        Some(When::At(at)) => written.at_ms = Some(at.as_millis().max(0)),
        Some(When::Suspended) | None => {}
    }
    Ok(serde_json::to_string(&written).expect("a patch has string keys only and is always JSON"))
}

fn read_patch(text: &str) -> Result<JobPatch, String> {
    let read: Patch = serde_json::from_str(text).map_err(|error| format!("the patch: {error}"))?;
    let mut patch = JobPatch::default();
    if let Some(priority) = read.priority {
        patch.priority = Some(Priority::new(priority).map_err(|error| format!("the patch: {error}"))?);
    }
    patch.max_attempts = read.max_attempts;
    if let Some(args) = read.args {
        let args = Args::from_json_within(args, MAX_ARGS_BYTES_HARD);
        patch.args = Some(args.map_err(|error| format!("the patch: args: {error}"))?);
    }
    patch.when = match (read.delay_ms, read.at_ms, read.now) {
        (None, None, None) => None,
        (Some(delay), None, None) => Some(When::After(Duration::from_millis(delay))),
        (None, Some(at), None) if at >= 0 => Some(When::At(Timestamp::from_millis(at))),
        (None, None, Some(true)) => Some(When::Now),
        _ => return Err("the patch has no single time: delay_ms, at_ms from 0 on, or now:true".to_owned()),
    };
    Ok(patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(verb: &str, patch: Option<&str>, actor: Option<&str>) -> StoredRequest {
        let id = JobId::from_bytes([7; 16]);
        let (patch, actor) = (patch.map(str::to_owned), actor.map(str::to_owned));
        StoredRequest { request: 1, id, verb: verb.to_owned(), patch, actor }
    }

    fn patch(change: impl FnOnce(&mut JobPatch)) -> JobPatch {
        let mut patch = JobPatch::default();
        change(&mut patch);
        patch
    }

    #[test]
    fn each_patch_comes_back_from_its_text() {
        let patches = [
            patch(|_| {}),
            patch(|patch| patch.priority = Some(Priority::FIRST)),
            patch(|patch| patch.max_attempts = NonZeroU16::new(65_535)),
            patch(|patch| patch.args = Some(Args::from_json(r#" {"a":"é\"\\", "a":1.0} "#).expect("valid"))),
            patch(|patch| patch.when = Some(When::Now)),
            patch(|patch| patch.when = Some(When::At(Timestamp::from_millis(5)))),
            patch(|patch| patch.when = Some(When::After(Duration::from_millis(5)))),
        ];
        for patch in patches {
            let text = write_patch(patch.clone()).expect("it is valid");
            let read = row("update", Some(&text), None).decode().expect(&text);
            assert_eq!(read, (Verb::Update, Some(patch)), "{text}");
        }
    }

    #[test]
    fn times_out_of_range_are_the_nearest_and_a_hold_leaves_the_time() {
        let of = |when| write_patch(patch(|patch| patch.when = Some(when))).expect("it is valid");
        assert_eq!(of(When::Suspended), "{}");
        assert_eq!(of(When::At(Timestamp::from_millis(-5))), r#"{"at_ms":0}"#);
        let longest = format!(r#"{{"delay_ms":{}}}"#, Timestamp::MAX.as_millis());
        assert_eq!(of(When::After(Duration::MAX)), longest);
    }

    #[test]
    fn a_patch_that_breaks_a_rule_is_not_written() {
        for args in [&b"{"[..], b"\"\xff\"", b"\"\\u0000\"", b"18446744073709551616"] {
            let patch = patch(|patch| patch.args = Some(Args::from_stored(args.to_vec())));
            assert!(write_patch(patch).is_err(), "{args:?}");
        }
    }

    #[test]
    fn verbs_without_a_patch_are_read() {
        assert_eq!(row("cancel", None, None).decode(), Ok((Verb::Cancel, None)));
        assert_eq!(row("delete", None, Some("me")).decode(), Ok((Verb::Delete, None)));
    }

    #[test]
    fn what_does_not_decode_is_a_text_that_says_why() {
        let faults = [
            (("retry", None), "the verb `retry` is not known"),
            (("", None), "the verb `` is not known"),
            (("cancel", Some("{}")), "a cancel has a patch"),
            (("delete", Some("{}")), "a delete has a patch"),
            (("update", None), "an update has no patch"),
            (("update", Some("")), "the patch: EOF"),
            (("update", Some("{} {}")), "the patch: trailing"),
            (("update", Some(r#"{"colour":1}"#)), "the patch: unknown field `colour`"),
            (("update", Some(r#"{"priority":1,"priority":2}"#)), "the patch: duplicate field `priority`"),
            (("update", Some(r#"{"priority":11}"#)), "the patch: "),
            (("update", Some(r#"{"max_attempts":0}"#)), "the patch: "),
            (("update", Some(r#"{"args":"{"}"#)), "the patch: args: "),
            (("update", Some(r#"{"at_ms":-1}"#)), "the patch has no single time"),
            (("update", Some(r#"{"at_ms":1,"now":true}"#)), "the patch has no single time"),
            (("update", Some(r#"{"now":false}"#)), "the patch has no single time"),
        ];
        for ((verb, patch), wanted) in faults {
            let fault = row(verb, patch, None).decode().expect_err(wanted);
            assert!(fault.starts_with(wanted), "{verb} {patch:?}: {fault}");
        }
    }

    #[test]
    fn each_refusal_has_a_detail_that_names_the_verb_and_the_state() {
        use gristmill_core::JobState;
        let of = |verb, verdict| refusal_detail(verb, &verdict);
        assert_eq!(of(Verb::Cancel, Verdict::AlreadyTerminal).as_deref(), Some("cancel: the job has ended"));
        let running = of(Verb::Update, Verdict::Refused(JobState::Running));
        assert_eq!(running.as_deref(), Some("update: the job is running"));
        for verdict in [Verdict::Done, Verdict::Requested, Verdict::NotFound] {
            assert_eq!(of(Verb::Delete, verdict), None);
        }
    }

    #[test]
    fn neighbours_that_are_alike_are_one_group_and_order_is_kept() {
        assert!(request_groups(&[]).is_empty());
        let rows = [
            row("cancel", None, None),
            row("cancel", None, None),
            row("cancel", None, Some("me")),
            row("update", Some("{}"), Some("me")),
            row("update", Some("{}"), Some("me")),
            row("update", Some(r#"{"now":true}"#), Some("me")),
            row("cancel", None, None),
        ];
        assert_eq!(request_groups(&rows), [0..2, 2..3, 3..5, 5..6, 6..7]);
    }
}
