//! What few jobs have, in one JSON text.

use std::time::Duration;

use gristmill_core::{JobSpec, Metadata, Name, Retention, RetryPolicy, UniqueKey};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::column::has_options;

/// What few jobs have, as the column `options` of PostgreSQL and the requests of the outbox keep it:
/// `{"unique_key":"k","timeout_ms":1000,"retry":{…},"retention":{…},"tags":["t"],"metadata":{…}}`, each member only where
/// it is set. A member that does not decode counts as not set: a newer version may have written it, and a job may not be
/// lost, or its queue held up, for that.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// The unique key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u64>,
    /// When a failed attempt is tried again.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub retry: Option<RetryPolicy>,
    /// How long it stays after its end.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub retention: Option<Retention>,
    /// Words to find it by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Box<RawValue>>,
}

fn lenient<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: serde::de::DeserializeOwned,
{
    let value = Option::<serde_json::Value>::deserialize(deserializer)?;
    Ok(value.and_then(|value| serde_json::from_value(value).ok()))
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
            };
            serde_json::to_string(&options).expect("options are always JSON")
        })
    }

    /// What a column's text says; nothing where it does not decode.
    pub fn parse(text: Option<&str>) -> Self {
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    /// Sets what is there in a spec.
    pub fn into_spec(self, spec: &mut JobSpec) {
        spec.unique_key = self.unique_key.and_then(|key| UniqueKey::new(key).ok());
        spec.timeout = self.timeout_ms.map(Duration::from_millis);
        spec.retry = self.retry.map(Box::new);
        spec.retention = self.retention.map(Box::new);
        spec.tags = self.tags;
        if let Some(json) = self.metadata {
            spec.metadata = Metadata::from_json(json.get()).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use gristmill_core::Args;

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
        let text = Options::of(&full).expect("it has options");
        let mut read = spec();
        Options::parse(Some(&text)).into_spec(&mut read);
        assert_eq!(read, full, "{text}");
    }

    #[test]
    fn a_member_that_does_not_decode_counts_as_not_set() {
        let options = Options::parse(Some(r#"{"unique_key":"k","retry":{"new":1},"more":2}"#));
        assert_eq!((options.unique_key.as_deref(), options.retry), (Some("k"), None));
    }
}
