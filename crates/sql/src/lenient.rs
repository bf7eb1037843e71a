//! Reads what may hold more than this version knows, part by part: a part that does not decode does not lose
//! the others.

use std::collections::BTreeMap;
use std::time::Duration;

use gristmill_core::{Metadata, Name, Retention, RetryPolicy};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// The members of an object; `None` for what is none.
fn members(json: &str) -> Option<BTreeMap<String, Box<RawValue>>> {
    serde_json::from_str(json).ok()
}

fn read<T: DeserializeOwned>(members: &BTreeMap<String, Box<RawValue>>, name: &str) -> Option<T> {
    members.get(name).and_then(|json| serde_json::from_str(json.get()).ok())
}

/// A retry policy. Without a backoff that this version knows there is none; a jitter that it does not know
/// counts as the default.
pub fn read_retry(json: &str) -> Option<RetryPolicy> {
    let members = members(json)?;
    let mut policy = RetryPolicy::default();
    policy.backoff = read(&members, "backoff")?;
    if let Some(jitter) = read(&members, "jitter") {
        policy.jitter = jitter;
    }
    Some(policy)
}

/// A retention. A duration that does not decode counts as the default.
pub fn read_retention(json: &str) -> Option<Retention> {
    let members = members(json)?;
    let mut retention = Retention::default();
    let set = |name: &str, part: &mut Duration| {
        if let Some(duration) = read(&members, name) {
            *part = duration;
        }
    };
    set("completed", &mut retention.completed);
    set("cancelled", &mut retention.cancelled);
    set("discarded", &mut retention.discarded);
    Some(retention)
}

/// The names of a JSON array, without what is none in it; none where it is no array.
pub fn read_names(json: &str) -> Vec<Name> {
    let items: Vec<Box<RawValue>> = serde_json::from_str(json).unwrap_or_default();
    items.iter().filter_map(|item| serde_json::from_str(item.get()).ok()).collect()
}

/// The metadata of a JSON object, without values that do not decode; none where it is no object.
pub fn read_metadata(json: &str) -> Metadata {
    if let Ok(metadata) = Metadata::from_json(json) {
        return metadata;
    }
    let mut metadata = Metadata::new();
    for (name, value) in members(json).unwrap_or_default() {
        if let Ok(value) = serde_json::from_str::<serde_json::Value>(value.get()) {
            metadata.insert(name, value);
        }
    }
    metadata
}

#[cfg(test)]
mod tests {
    use gristmill_core::{Backoff, Jitter};

    use super::*;

    #[test]
    fn a_part_that_does_not_decode_does_not_lose_the_others() {
        let policy = read_retry(r#"{"backoff":{"fixed":{"secs":3,"nanos":0}},"jitter":{"gauss":1}}"#);
        let policy = policy.expect("its backoff is known");
        assert_eq!(policy.backoff, Backoff::Fixed(Duration::from_secs(3)));
        assert_eq!(policy.jitter, Jitter::Percent(10));
        assert_eq!(read_retry(r#"{"backoff":{"later":1},"jitter":"none"}"#), None);
        let kept = read_retention(r#"{"completed":{"secs":5,"nanos":0},"discarded":"P1D","archived":1}"#);
        assert_eq!(kept, Some(Retention::default().with_completed(Duration::from_secs(5))));
        assert_eq!(read_names(r#"["mail",7,"two words",{"name":"x"},"eu"]"#).len(), 2);
        let metadata = read_metadata(r#"{"tenant":"acme","big":1e999}"#);
        assert_eq!(metadata.iter().count(), 1);
    }
}
