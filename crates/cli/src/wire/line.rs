//! A line of `enqueue --file`, and what is answered to it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use gristmill::{Args, JobId, JobOptions, NewJob, Timestamp, did_you_mean, parse_duration};
use serde::de::{DeserializeOwned, Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// The members of a line:
///
/// ```json
/// {"kind":"checksum","args":{},"queue":"default","priority":0,"delay":"5s","run_at":"2026-11-22T10:00:00Z",
///  "max_attempts":20,"timeout":"30s","unique_key":"…","tags":["…"],"metadata":{}}
/// ```
///
/// Only `kind` is needed, and not even that where the command line has a KIND. `delay` and `run_at` exclude
/// each other.
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
        if let Some(json) = members.0.remove("metadata").filter(|json| json.get() != "null") {
            let of_metadata = |error| within("metadata", &error);
            let Unique(metadata) = serde_json::from_str(json.get()).map_err(of_metadata)?;
            for (key, value) in metadata {
                let value: Value = serde_json::from_str(value.get()).map_err(of_metadata)?;
                options = options.metadata(key, value);
            }
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

/// What keeps bytes from being text in UTF-8.
fn encoding_fault(text: &[u8]) -> Option<String> {
    let what = if text.starts_with(b"\xef\xbb\xbf") {
        "begins with a byte order mark; store the file as UTF-8 without one"
    } else if text.starts_with(b"\x1f\x8b") || text.starts_with(b"\x28\xb5\x2f\xfd") {
        "is compressed; unpack the file first, as `zcat` or `zstdcat` does"
    } else if text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") || text.contains(&0) {
        "is UTF-16, or no text; store the file as UTF-8, as `iconv -f UTF-16 -t UTF-8` does"
    } else if let Err(error) = std::str::from_utf8(text) {
        return Some(format!("its byte {} is not UTF-8; store the file as UTF-8", error.valid_up_to() + 1));
    } else {
        return None;
    };
    Some(format!("it {what}"))
}

fn members(text: &[u8]) -> Result<Members<'_>, LineError> {
    if let Some(fault) = encoding_fault(text) {
        return Err(LineError(fault));
    }
    let Unique(members) = serde_json::from_slice(text).map_err(|error| {
        LineError(match error.classify() {
            _ if text.first() == Some(&b'[') => {
                "it is an array; give one object a line, as `jq -c '.[]'` makes them".to_owned()
            }
            serde_json::error::Category::Data if text.first() == Some(&b'{') => without_position(&error),
            serde_json::error::Category::Data => "not a JSON object".to_owned(),
            // serde counts lines of its own, and a line of the stream is always its first.
            _ => format!("not valid JSON: {}", error.to_string().replace(" line 1 column ", " column ")),
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

/// serde's position counts within the member, which would mislead, and its words are Rust's.
fn within(member: &str, error: &dyn fmt::Display) -> LineError {
    let text = without_position(error);
    let Some((found, _)) = text.strip_prefix("invalid ").and_then(|text| text.split_once(", expected "))
    else {
        return LineError(format!("{member}: {text}"));
    };
    let found = found.split_once(": ").map_or(found, |(_, found)| found);
    let found = match found {
        "map" => "an object",
        "sequence" => "a list",
        other => other,
    };
    let wanted = match member {
        "priority" => "a whole number from -10 to 10",
        "max_attempts" => "a whole number from 1 to 65535",
        "delay" | "timeout" => "a duration in quotes, as in \"30s\"",
        "run_at" => "a time in quotes, as in \"2026-11-22T10:00:00Z\"",
        "tags" => "a list of texts, as in [\"nightly\"]",
        "metadata" => "an object, as in {\"tenant\":\"acme\"}",
        _ => "a text",
    };
    LineError(format!("{member}: {found} is given; write {wanted}"))
}

fn without_position(error: &dyn fmt::Display) -> String {
    error.to_string().split(" at line ").next().unwrap_or_default().to_owned()
}

/// The members of an object, of which none may stand there twice: one of them would be lost without a word.
struct Unique<'a>(BTreeMap<Cow<'a, str>, &'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Unique<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = BTreeMap<Cow<'de, str>, &'de RawValue>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Self::Value = BTreeMap::new();
                while let Some(Name(name)) = map.next_key()? {
                    if let Some((twice, _)) = members.remove_entry(&name) {
                        let twice: String = twice.chars().take(64).collect();
                        return Err(Error::custom(format!("`{}` stands twice", twice.escape_debug())));
                    }
                    members.insert(name, map.next_value()?);
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(Reader).map(Self)
    }
}

/// Borrowed unless it holds an escape; a bare `Cow` would always be copied.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

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
            ("[]", "it is an array"),
            ("{}", "`kind` is missing"),
            (r#"{"kind":"k","priorty":1}"#, "did you mean `priority`?"),
            (r#"{"kind":"k","colour":1}"#, "known are kind, args"),
            (r#"{"kind":"k","delay":"1s","run_at":"2026-11-22T10:00:00Z"}"#, "exclude each other"),
            (
                r#"{"kind":"k","delay":5}"#,
                "delay: integer `5` is given; write a duration in quotes, as in \"30s\"",
            ),
            (
                r#"{"kind":"k","priority":1.5}"#,
                "priority: floating point `1.5` is given; write a whole number from -10",
            ),
            (
                r#"{"kind":"k","max_attempts":70000}"#,
                "max_attempts: integer `70000` is given; write a whole number",
            ),
            (r#"{"kind":"k","tags":"t"}"#, "tags: string \"t\" is given; write a list of texts"),
            (r#"{"kind":"k","metadata":[]}"#, "metadata: a list is given; write an object"),
            (r#"{"kind":"k","run_at":"soon"}"#, "run_at: `soon` is not a time"),
            (r#"{"kind":"a","kind":"b"}"#, "`kind` stands twice"),
            (r#"{"kind":"k"} x"#, "not valid JSON: trailing characters at column 14"),
            ("\u{feff}{\"kind\":\"k\"}", "byte order mark"),
            (r#"{"kind":"k","timeout":"soon"}"#, "timeout: `soon` is not a duration"),
            (r#"{"kind":"k","args":["a\u0000"]}"#, "args: a string holds NUL"),
            (r#"{"kind":"two words","queue":"ä"}"#, "; queue:"),
        ] {
            let error = read(text).expect_err(text).to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
