//! How large things are on their way to and from a store, and where a batch ends.
//!
//! A bound of a count bounds nothing: a thousand jobs are some kilobytes or a gigabyte. So every batch, page
//! and group ends at bytes as well. The sizes are estimates of what a store has to carry, cheap enough for
//! every item.

use std::time::Duration;

use serde_json::Value;

use crate::{FinishItem, JobRecord, JobSpec, Metadata, NewJob, RunError};

/// The bytes at which a batch, a page or a group ends. An item that is larger by itself goes alone.
pub const MAX_BATCH_BYTES: usize = 8 * 1024 * 1024;
/// What an item takes besides its texts.
const OVERHEAD: usize = 64;
/// The slowest a call with much to carry may be: its deadline is this much longer for each mebibyte.
const PER_MEBIBYTE: Duration = Duration::from_secs(1);

/// How many of the first items go together, of these sizes: at most `most`, and at most [`MAX_BATCH_BYTES`];
/// at least one where there is one.
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
    use crate::{
        Args, ClaimId, Ending, IdSource, JobState, Lease, LeaseToken, Name, Output, Place, RunFailure,
        RunRecord, Timestamp, UniqueKey, WorkerId,
    };

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
    fn a_deadline_grows_by_a_second_for_each_whole_mebibyte() {
        assert_eq!(MAX_BATCH_BYTES, 8_388_608);
        for (bytes, seconds) in [(0, 0), (1_048_575, 0), (1_048_576, 1), (MAX_BATCH_BYTES, 8)] {
            assert_eq!(time_for_bytes(bytes), Duration::from_secs(seconds), "{bytes}");
        }
    }

    fn name(text: &str) -> Name {
        Name::new(text).expect("it is one")
    }

    /// A job whose parts have 4, 5, 3 + 2, 6, 9 and 12 bytes, in the order of its members.
    fn job() -> NewJob {
        let args = Args::from_json("\"1234567\"").expect("it is JSON");
        let mut spec = JobSpec::new(name("kind"), name("queue"), args);
        spec.tags = vec![name("tag"), name("tu")];
        spec.unique_key = Some(UniqueKey::new("unique").expect("it is one"));
        spec.metadata = Metadata::new().with("name", "ab");
        NewJob::new(IdSource::new().next(Timestamp::EPOCH), spec)
    }

    #[test]
    fn an_item_has_the_bytes_of_all_its_parts() {
        let job = job();
        let of_job = OVERHEAD + 4 + 5 + 3 + 2 + 6 + 9 + 12;
        assert_eq!((job.spec.bytes(), job.bytes()), (of_job, of_job));

        let lease = Lease { job: job.id, run: 1, claim: ClaimId(1), token: LeaseToken(0), place: Place(0) };
        let error = RunError::new("message").with_backtrace("trace");
        assert_eq!(error.bytes(), 12);
        let mut item = FinishItem::fail(lease, Duration::ZERO, error);
        assert_eq!(item.bytes(), OVERHEAD + 12);
        item.output = Some(Output::from_stored("[1,2]"));
        item.reason = Some("why".to_owned());
        item.effects = vec![job.clone(), job.clone()];
        assert_eq!(item.bytes(), OVERHEAD + 12 + 5 + 3 + 2 * of_job);

        let mut record =
            JobRecord::new(job.id, job.spec, JobState::Completed, Timestamp::EPOCH, Timestamp::EPOCH);
        assert_eq!(record.bytes(), of_job);
        record.output = Some(Output::from_stored("[1,2]"));
        let worker = WorkerId::random();
        let mut run = RunRecord::new(
            1,
            1,
            Ending::Failed,
            JobState::Retryable,
            worker,
            Timestamp::EPOCH,
            Timestamp::EPOCH,
        );
        run.error = Some(RunError::new("message"));
        record.errors.extend(RunFailure::of(&run));
        assert_eq!(record.bytes(), of_job + 5 + 7);
    }

    #[test]
    fn values_have_at_least_the_bytes_of_their_json() {
        for (json, bytes) in [
            ("null", 8),
            ("true", 8),
            ("\"four\"", 6),
            ("[]", 2),
            ("[\"a\",\"bcd\"]", 2 + 4 + 6),
            ("{}", 2),
            ("{\"a\":\"b\",\"cd\":[]}", 2 + (1 + 4 + 3) + (2 + 4 + 2)),
        ] {
            let value: Value = serde_json::from_str(json).expect("it is JSON");
            assert_eq!(json_bytes(&value), bytes, "{json}");
            assert!(bytes >= json.len(), "{json}");
        }
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
