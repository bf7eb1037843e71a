//! How large things are on their way to and from a store, and where a batch ends.
//!
//! A bound of a count bounds nothing: a thousand jobs are some kilobytes or a gigabyte. So every batch, page and group
//! ends at bytes as well. The sizes are estimates of what a store has to carry, cheap enough for every item.

use std::time::Duration;

use serde_json::Value;

use crate::{FinishItem, JobRecord, JobSpec, Metadata, NewJob, RunError};

/// The bytes at which a batch, a page or a group ends. An item that is larger by itself goes alone.
pub const MAX_BATCH_BYTES: usize = 8 * 1024 * 1024;
/// What an item takes besides its texts.
const OVERHEAD: usize = 64;
/// The slowest a call with much to carry may be: its deadline is this much longer for each mebibyte.
const PER_MEBIBYTE: Duration = Duration::from_secs(1);

/// How many of the first items go together, of these sizes: at most `most`, and at most [`MAX_BATCH_BYTES`]; at least
/// one where there is one.
pub fn batch_len(sizes: impl IntoIterator<Item = usize>, most: usize) -> usize {
    let (mut count, mut bytes) = (0, 0_usize);
    for size in sizes.into_iter().take(most) {
        bytes = bytes.saturating_add(size);
        if count > 0 && bytes > MAX_BATCH_BYTES {
            break;
        }
        count += 1;
    }
    count
}

/// How much longer than others a call may take that carries so many bytes.
pub fn time_for_bytes(bytes: usize) -> Duration {
    let mebibytes = u32::try_from(bytes / (1024 * 1024)).unwrap_or(u32::MAX);
    PER_MEBIBYTE.saturating_mul(mebibytes)
}

impl JobSpec {
    /// About how many bytes it takes to carry.
    pub fn bytes(&self) -> usize {
        let tags: usize = self.tags.iter().map(|tag| tag.as_str().len()).sum();
        let key = self.unique_key.as_ref().map_or(0, |key| key.as_str().len());
        let names = self.kind.as_str().len() + self.queue.as_str().len();
        OVERHEAD + names + tags + key + self.args.as_bytes().len() + self.metadata.bytes()
    }
}

impl NewJob {
    /// About how many bytes it takes to carry.
    pub fn bytes(&self) -> usize {
        self.spec.bytes()
    }
}

impl Metadata {
    /// About how many bytes its JSON has.
    pub fn bytes(&self) -> usize {
        self.iter().map(|(key, value)| key.len() + 4 + json_bytes(value)).sum()
    }
}

impl RunError {
    /// How many bytes its texts have.
    pub fn bytes(&self) -> usize {
        self.message.len() + self.backtrace.as_ref().map_or(0, String::len)
    }
}

impl FinishItem {
    /// About how many bytes it takes to carry.
    pub fn bytes(&self) -> usize {
        let output = self.output.as_ref().map_or(0, |output| output.as_bytes().len());
        let words =
            self.error.as_ref().map_or(0, RunError::bytes) + self.reason.as_ref().map_or(0, String::len);
        let effects: usize = self.effects.iter().map(NewJob::bytes).sum();
        OVERHEAD + output + words + effects
    }
}

impl JobRecord {
    /// About how many bytes it takes to carry.
    pub fn bytes(&self) -> usize {
        let output = self.output.as_ref().map_or(0, |output| output.as_bytes().len());
        let errors: usize = self.errors.iter().map(|failure| failure.message.len()).sum();
        self.spec.bytes() + output + errors
    }
}

fn json_bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(values) => 2 + values.iter().map(|value| json_bytes(value) + 1).sum::<usize>(),
        Value::Object(members) => {
            2 + members.iter().map(|(key, value)| key.len() + 4 + json_bytes(value)).sum::<usize>()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_ends_at_its_count_or_its_bytes() {
        assert_eq!(batch_len([], 10), 0);
        assert_eq!(batch_len([1; 20], 10), 10);
        assert_eq!(batch_len([MAX_BATCH_BYTES / 4; 20], 10), 4);
        assert_eq!(batch_len([MAX_BATCH_BYTES * 3, 1], 10), 1, "one that is too large goes alone");
        assert_eq!(batch_len([1, usize::MAX, 1], 10), 1);
        assert_eq!(batch_len([1, 1], 0), 0);
    }

    #[test]
    fn metadata_is_estimated_closely() {
        let metadata = Metadata::new()
            .with("text", "x".repeat(500))
            .with("list", vec![1, 2, 3])
            .with("object", serde_json::json!({ "a": "b", "c": [null, true] }));
        let (exact, estimated) = (metadata.to_json().len(), metadata.bytes());
        assert!(estimated >= exact && estimated < exact + 60, "{exact} {estimated}");
    }
}
