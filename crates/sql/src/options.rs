//! What few jobs have, in one JSON text.

use std::fmt;
use std::time::Duration;

use gristmill_core::{Encoding, JobSpec, Name, Retention, RetryPolicy, UniqueKey};
use serde::Serialize;
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::column::has_options;
use crate::lenient::{read_metadata, read_names, read_retention, read_retry};

/// What few jobs have, as the column `options` of PostgreSQL and the requests of the outbox keep it:
/// `{"unique_key":"k","timeout_ms":1000,"retry":{…},"retention":{…},"tags":["t"],
/// "metadata":{…},"encoding":"zstd"}`, each member only
/// where it is set.
///
/// Each member is read by itself: one that does not decode counts as not set, and the others keep their
/// values. A newer version may have written it, and a job may not be lost, or its queue held up, for that.
#[derive(Debug, Default, Serialize)]
pub struct Options {
    /// The unique key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u64>,
    /// When a failed attempt is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
    /// How long it stays after its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    /// Words to find it by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Box<RawValue>>,
    /// The codec of the args; none for JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<Name>,
    /// The job may hold a unique key: the text has the member, whether it decodes or not, or is not whole.
    /// Keys are freed by the id of their job, so this is all that freeing one needs.
    #[serde(skip)]
    pub may_hold_key: bool,
    /// The text has a member that this version does not know.
    #[serde(skip)]
    has_unknown: bool,
}

/// Reads members into options as they come, so that those before a damaged one are kept.
struct Members<'o>(&'o mut Options);

impl<'de> Visitor<'de> for Members<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the options of a job")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let options = self.0;
        while let Some(name) = members.next_key::<String>()? {
            options.may_hold_key |= name == "unique_key";
            let json = members.next_value::<&RawValue>()?.get();
            match name.as_str() {
                "unique_key" => options.unique_key = serde_json::from_str(json).ok(),
                "timeout_ms" => {
                    options.timeout_ms = serde_json::from_str(json).ok().filter(|millis| *millis > 0);
                }
                "retry" => options.retry = read_retry(json),
                "retention" => options.retention = read_retention(json),
                "tags" => options.tags = read_names(json),
                "metadata" => options.metadata = RawValue::from_string(json.to_owned()).ok(),
                "encoding" => options.encoding = serde_json::from_str(json).ok(),
                _ => options.has_unknown = true,
            }
        }
        Ok(())
    }
}

impl Options {
    /// The column's text; `None` for a job without options.
    pub fn of(spec: &JobSpec) -> Option<String> {
        has_options(spec).then(|| {
            let metadata = (!spec.metadata.is_empty()).then(|| spec.metadata.to_json());
            let options = Self {
                unique_key: spec.unique_key.as_ref().map(|key| key.as_str().to_owned()),
                timeout_ms: spec
                    .timeout
                    .map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
                retry: spec.retry.as_deref().cloned(),
                retention: spec.retention.as_deref().copied(),
                tags: spec.tags.clone(),
                metadata: metadata.and_then(|json| RawValue::from_string(json).ok()),
                encoding: spec.args.encoding().codec().cloned(),
                may_hold_key: spec.unique_key.is_some(),
                has_unknown: false,
            };
            serde_json::to_string(&options).expect("options are always JSON")
        })
    }

    /// What a column's text says; of a damaged one what stands before the damage.
    pub fn parse(text: Option<&str>) -> Self {
        let mut options = Self::default();
        if let Some(text) = text {
            let mut reader = serde_json::Deserializer::from_str(text);
            let read = reader.deserialize_map(Members(&mut options)).and_then(|()| reader.end());
            options.may_hold_key |= read.is_err();
        }
        options
    }

    /// The end of a run of the job has no consequence but its row: no key to free, no retention of its own,
    /// and nothing that a newer version may have written.
    pub fn has_plain_end(&self) -> bool {
        !self.may_hold_key && !self.has_unknown && self.retention.is_none()
    }

    /// Sets what is there in a spec.
    pub fn into_spec(self, spec: &mut JobSpec) {
        spec.unique_key = self.unique_key.and_then(|key| UniqueKey::new(key).ok());
        spec.timeout = self.timeout_ms.map(Duration::from_millis);
        spec.retry = self.retry.map(Box::new);
        spec.retention = self.retention.map(Box::new);
        spec.tags = self.tags;
        if let Some(json) = self.metadata {
            spec.metadata = read_metadata(json.get());
        }
        if let Some(codec) = self.encoding {
            spec.args = spec.args.clone().stored_as(Encoding::named(codec));
        }
    }
}

#[cfg(test)]
mod tests {
    use gristmill_core::{Args, Metadata};

    use super::*;

    fn spec() -> JobSpec {
        let name = |text| Name::new(text).expect("a name");
        JobSpec::new(name("kind"), name("queue"), Args::empty())
    }

    #[test]
    fn every_option_comes_back_from_its_text() {
        assert_eq!(Options::of(&spec()), None);
        let mut full = spec();
        full.unique_key = UniqueKey::new("k").ok();
        full.timeout = Some(Duration::from_millis(1_500));
        full.retry = Some(Box::new(RetryPolicy::fixed(Duration::from_secs(3))));
        full.retention = Some(Box::new(Retention::all(Duration::from_secs(60))));
        full.tags = vec![Name::new("t").expect("a name")];
        full.metadata = Metadata::new().with("tenant", "acme");
        full.args = full.args.stored_as(Encoding::named(Name::new("zstd").expect("a name")));
        let text = Options::of(&full).expect("it has options");
        let mut read = spec();
        Options::parse(Some(&text)).into_spec(&mut read);
        assert_eq!(read, full, "{text}");
    }

    #[test]
    fn an_end_is_plain_without_a_key_a_retention_and_what_a_newer_version_wrote() {
        let is_plain = |text| Options::parse(text).has_plain_end();
        assert!(is_plain(None));
        assert!(is_plain(Some(r#"{"timeout_ms":1500,"tags":["t"],"metadata":{"a":1}}"#)));
        for text in [
            r#"{"unique_key":"k"}"#,
            r#"{"unique_key":7}"#,
            r#"{"retention":{"completed":{"secs":60,"nanos":0}}}"#,
            r#"{"tags":["t"],"feeds":["of a newer version"]}"#,
            r#"{"tags":["#,
        ] {
            assert!(!is_plain(Some(text)), "{text}");
        }
    }

    #[test]
    fn each_member_is_read_by_itself() {
        let good = [
            r#""unique_key":"k""#,
            r#""timeout_ms":1500"#,
            r#""retry":{"backoff":{"fixed":{"secs":3,"nanos":0}},"jitter":"none"}"#,
            r#""retention":{"completed":{"secs":60,"nanos":0},"cancelled":{"secs":60,"nanos":0},"discarded":{"secs":60,"nanos":0}}"#,
            r#""tags":["t"]"#,
            r#""metadata":{"tenant":"acme"}"#,
        ];
        let read = |text: &str| {
            let mut read = spec();
            Options::parse(Some(text)).into_spec(&mut read);
            read
        };
        let whole = read(&format!("{{{}}}", good.join(",")));
        assert_eq!(Options::parse(Options::of(&whole).as_deref()).tags.len(), 1);
        for at in 0..good.len() {
            let name = good[at].split(':').next().expect("it has a name");
            for bad in [
                "1e999",
                "{\"new\":[1e999]}",
                "[[1e999]]",
                "-1",
                "null",
                "true",
                "99999999999999999999999999",
            ] {
                let mut members = good.map(str::to_owned);
                members[at] = format!("{name}:{bad}");
                members.rotate_left(at);
                let found = read(&format!("{{\"newer\":{{\"of\":[1e999]}},{}}}", members.join(",")));
                let mut wanted = whole.clone();
                match at {
                    0 => wanted.unique_key = None,
                    1 => wanted.timeout = None,
                    2 => wanted.retry = None,
                    3 => wanted.retention = None,
                    4 => wanted.tags = Vec::new(),
                    _ => wanted.metadata = found.metadata.clone(),
                }
                let defaulted = found.retention.as_deref() == Some(&Retention::default());
                if at == 3 && defaulted {
                    wanted.retention = found.retention.clone();
                }
                assert_eq!(found, wanted, "{name} {bad}");
            }
        }
    }

    /// Only a text that is whole and has no such member is sure to hold no key.
    #[test]
    fn a_key_that_does_not_decode_is_one_to_free() {
        let may_hold = |text: &str| Options::parse(Some(text)).may_hold_key;
        assert!(!may_hold(r#"{"tags":["unique_key"],"more":{"unique_key":1}}"#));
        for text in [r#"{"unique_key":7}"#, r#"{"unique\u005fkey":"k"}"#, r#"{"tags":[]"#, "", "7", "{}x"] {
            assert!(may_hold(text), "{text}");
        }
        let cut = Options::parse(Some(r#"{"unique_key":"k","tags":["t"],"metadata":{"#));
        assert_eq!((cut.unique_key.as_deref(), cut.tags.len()), (Some("k"), 1));
    }
}
