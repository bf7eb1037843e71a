//! A line of `enqueue --file`, and what is answered to it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use gristmill::{Args, JobId, JobOptions, NewJob, Timestamp, did_you_mean, parse_duration};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

/// The members of a line:
///
/// ```json
/// {"kind":"checksum","args":{},"queue":"default","priority":0,"delay":"5s","run_at":"2026-11-22T10:00:00Z",
///  "max_attempts":20,"timeout":"30s","unique_key":"…","tags":["…"],"metadata":{}}
/// ```
///
/// Only `kind` is needed, and not even that where the command line has a KIND. `delay` and `run_at` exclude each other.
const MEMBERS: [&str; 11] = [
    "kind",
    "args",
    "queue",
    "priority",
    "delay",
    "run_at",
    "max_attempts",
    "timeout",
    "unique_key",
    "tags",
    "metadata",
];

/// One job as a line of a file gives it, over the defaults of the command line.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    kind: String,
    args: Args,
    options: JobOptions,
}

/// Why a line is no job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LineError(pub(crate) String);

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Line {
    /// Reads a line; what it does not say is taken from `kind` and `defaults`.
    pub(crate) fn parse(text: &[u8], kind: Option<&str>, defaults: &JobOptions) -> Result<Self, LineError> {
        let mut members = members(text)?;
        let kind = match members.take::<String>("kind")? {
            Some(kind) => kind,
            None => kind.ok_or_else(|| LineError("`kind` is missing".to_owned()))?.to_owned(),
        };
        let args = match members.0.remove("args") {
            Some(json) => {
                Args::from_json(json.get().to_owned()).map_err(|error| LineError(format!("args: {error}")))?
            }
            None => Args::empty(),
        };
        let mut options = defaults.clone();
        if let Some(queue) = members.take::<String>("queue")? {
            options = options.queue(queue);
        }
        if let Some(priority) = members.take::<i64>("priority")? {
            options = options.priority(priority);
        }
        if let Some(max_attempts) = members.take::<u16>("max_attempts")? {
            options = options.max_attempts(max_attempts);
        }
        if let Some(timeout) = members.take::<String>("timeout")? {
            options = options.timeout(parse_duration(&timeout).map_err(|error| within("timeout", &error))?);
        }
        if let Some(key) = members.take::<String>("unique_key")? {
            options = options.unique_key(key);
        }
        for tag in members.take::<Vec<String>>("tags")?.unwrap_or_default() {
            options = options.tag(tag);
        }
        for (key, value) in members.take::<BTreeMap<String, Value>>("metadata")?.unwrap_or_default() {
            options = options.metadata(key, value);
        }
        options = when(&mut members, options)?;
        Ok(Self { kind, args, options })
    }

    /// The job, checked.
    pub(crate) fn prepare(self, id: JobId) -> Result<NewJob, LineError> {
        self.options.prepare(id, &self.kind, self.args).map_err(|error| LineError(error.faults().join("; ")))
    }
}

fn when(members: &mut Members<'_>, options: JobOptions) -> Result<JobOptions, LineError> {
    match (members.take::<String>("delay")?, members.take::<Timestamp>("run_at")?) {
        (Some(_), Some(_)) => Err(LineError("`delay` and `run_at` exclude each other".to_owned())),
        (Some(delay), None) => {
            Ok(options.delay(parse_duration(&delay).map_err(|error| within("delay", &error))?))
        }
        (None, Some(at)) => Ok(options.run_at(at)),
        (None, None) => Ok(options),
    }
}

/// The members of a line that were not taken yet.
struct Members<'a>(BTreeMap<Cow<'a, str>, &'a RawValue>);

impl Members<'_> {
    /// A member; `null` counts as absent.
    fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, LineError> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(json) => serde_json::from_str(json.get()).map_err(|error| within(name, &error)),
        }
    }
}

fn members(text: &[u8]) -> Result<Members<'_>, LineError> {
    let members: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(text).map_err(|error| {
        LineError(match error.classify() {
            serde_json::error::Category::Data => "not a JSON object".to_owned(),
            _ => format!("not valid JSON: {error}"),
        })
    })?;
    for name in members.keys() {
        if !MEMBERS.contains(&&**name) {
            let shown: String = name.chars().take(64).collect();
            let meant = match did_you_mean(name, MEMBERS) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("known are {}", MEMBERS.join(", ")),
            };
            return Err(LineError(format!("unknown member `{}`; {meant}", shown.escape_debug())));
        }
    }
    Ok(Members(members))
}

/// serde's position counts within the member, which would mislead.
fn within(member: &str, error: &dyn fmt::Display) -> LineError {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    LineError(format!("{member}: {text}"))
}

/// A line of `enqueue --json`: `{"line":1,"result":"created","id":"…"}`.
#[derive(Debug, Serialize)]
pub(crate) struct LineResult<'a> {
    pub(crate) line: u64,
    /// `created`, `existing`, `replaced` or `invalid`.
    pub(crate) result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<JobId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use gristmill::{Client, Memory, When};
    use std::sync::Arc;
    use std::time::Duration;

    fn read(text: &str) -> Result<NewJob, LineError> {
        let id = Client::new(Arc::new(Memory::new())).mint_id();
        Line::parse(text.as_bytes(), None, &JobOptions::new()).and_then(|line| line.prepare(id))
    }

    #[test]
    fn every_member_reaches_the_job() {
        let job = read(
            r#"{"kind":"checksum","args":{"b":1, "a":[]},"queue":"q","priority":-1,"delay":"5s","max_attempts":3,
               "timeout":"30s","unique_key":"u","tags":["t"],"metadata":{"m":1}}"#,
        )
        .expect("it is valid");
        assert_eq!(job.when, When::After(Duration::from_secs(5)));
        assert_eq!(job.spec.args.as_bytes(), br#"{"b":1, "a":[]}"#, "args are kept byte for byte");
        let spec = job.spec;
        assert_eq!((spec.queue.as_str(), spec.priority.get(), spec.max_attempts.get()), ("q", -1, 3));
        assert_eq!((spec.unique_key.map(|key| key.to_string()), spec.tags.len()), (Some("u".to_owned()), 1));
    }

    #[test]
    fn a_bad_line_is_told_why() {
        for (text, why) in [
            ("", "not valid JSON"),
            ("[]", "not a JSON object"),
            ("{}", "`kind` is missing"),
            (r#"{"kind":"k","priorty":1}"#, "did you mean `priority`?"),
            (r#"{"kind":"k","colour":1}"#, "known are kind, args"),
            (r#"{"kind":"k","delay":"1s","run_at":"2026-11-22T10:00:00Z"}"#, "exclude each other"),
            (r#"{"kind":"k","delay":5}"#, "delay: invalid type: integer `5`, expected a string"),
            (r#"{"kind":"k","timeout":"soon"}"#, "timeout: `soon` is not a duration"),
            (r#"{"kind":"k","args":["a\u0000"]}"#, "args: a string holds NUL"),
            (r#"{"kind":"two words","queue":"ä"}"#, "; queue:"),
        ] {
            let error = read(text).expect_err(text).to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
