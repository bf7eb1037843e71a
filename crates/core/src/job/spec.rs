//! What a job is to be, as it was enqueued.

use std::num::NonZeroU16;
use std::time::Duration;

use crate::{Args, Metadata, Name, Priority, Retention, RetryPolicy, UniqueKey};

/// Attempts a job gets unless it says otherwise, the first one included.
pub const DEFAULT_MAX_ATTEMPTS: NonZeroU16 = NonZeroU16::new(20).expect("20 is not zero");
/// The queue a job goes to unless it says otherwise.
pub const DEFAULT_QUEUE: &str = "default";
/// The most tags a job carries.
pub const MAX_TAGS: usize = 32;

/// The content of a job. Every member is checked by its type, so a spec is always valid.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct JobSpec {
    /// Selects the handler.
    pub kind: Name,
    /// The line it stands in.
    pub queue: Name,
    /// Its place in the line; smaller runs first.
    pub priority: Priority,
    /// Its input.
    pub args: Args,
    /// Runs at most this often, the first one included.
    pub max_attempts: NonZeroU16,
    /// How long one attempt may take; `None` is the worker's default.
    pub timeout: Option<Duration>,
    /// When a failed attempt is tried again; `None` is the default policy.
    pub retry: Option<Box<RetryPolicy>>,
    /// How long it stays after its end; `None` is the default retention.
    pub retention: Option<Box<Retention>>,
    /// Forbids a second one.
    pub unique_key: Option<UniqueKey>,
    /// Words to find it by; at most [`MAX_TAGS`].
    pub tags: Vec<Name>,
    /// What travels with it.
    pub metadata: Metadata,
}

impl JobSpec {
    /// A spec with the defaults; the remaining members are public.
    pub fn new(kind: Name, queue: Name, args: Args) -> Self {
        Self {
            kind,
            queue,
            priority: Priority::default(),
            args,
            max_attempts: DEFAULT_MAX_ATTEMPTS,
            timeout: None,
            retry: None,
            retention: None,
            unique_key: None,
            tags: Vec::new(),
            metadata: Metadata::new(),
        }
    }

    /// The policy that applies.
    pub fn retry_policy(&self) -> RetryPolicy {
        self.retry.as_deref().cloned().unwrap_or_default()
    }

    /// The retention that applies.
    pub fn retention(&self) -> Retention {
        self.retention.as_deref().copied().unwrap_or_default()
    }
}
