//! What a user writes: the `Job` trait, its options, and overrides per enqueue.

use std::borrow::Cow;
use std::num::NonZeroU16;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::check::{Faults, InvalidJob};
use super::spec::{DEFAULT_MAX_ATTEMPTS, DEFAULT_QUEUE, JobSpec};
use crate::{
    Args, JobId, Metadata, Name, NewJob, Priority, Retention, RetryPolicy, Timestamp, UniqueKey, When,
};

/// The data contract of a job, shared by producers and workers. It holds no handler code.
///
/// `#[derive(Job)]` writes the implementation; by hand it is one constant and one type.
///
/// ```
/// use gristmill_core::{Job, JobOptions};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Welcome { user_id: i64 }
///
/// impl Job for Welcome {
///     const KIND: &'static str = "email.welcome";
///     type Output = String;
///     fn options() -> JobOptions { JobOptions::new().queue("mail").max_attempts(8) }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a job",
    label = "this type does not implement `Job`",
    note = "add `#[derive(Serialize, Deserialize, Job)]` and `#[job(kind = \"...\")]` to it",
    note = "a handler's first argument is the job itself; extractors such as `State<T>` or `JobContext` come after it"
)]
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The stable name that selects the handler. Stored with every job, so it must not change when the type
    /// is renamed or moved.
    const KIND: &'static str;
    /// What a completed job returns.
    type Output: Serialize + DeserializeOwned + Send + 'static;

    /// The defaults of this kind.
    fn options() -> JobOptions {
        JobOptions::new()
    }
}

/// The options of a job. Everything is checked when the job is enqueued, all faults at once.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct JobOptions {
    queue: Cow<'static, str>,
    max_attempts: u16,
    timeout: Option<Duration>,
    priority: i64,
    retry: Option<RetryPolicy>,
    retention: Option<Retention>,
    unique_key: Option<String>,
    tags: Vec<Cow<'static, str>>,
    metadata: Metadata,
    when: When,
}

impl Default for JobOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl JobOptions {
    /// Queue `default`, priority 0, 20 attempts, the default retry policy, at once.
    pub const fn new() -> Self {
        Self {
            queue: Cow::Borrowed(DEFAULT_QUEUE),
            max_attempts: DEFAULT_MAX_ATTEMPTS.get(),
            timeout: None,
            priority: 0,
            retry: None,
            retention: None,
            unique_key: None,
            tags: Vec::new(),
            metadata: Metadata::new(),
            when: When::Now,
        }
    }

    /// The queue. Default `default`.
    pub fn queue(mut self, queue: impl Into<Cow<'static, str>>) -> Self {
        self.queue = queue.into();
        self
    }

    /// How often it runs at most, the first time included. Default 20, smallest 1.
    pub fn max_attempts(mut self, max_attempts: u16) -> Self {
        self.max_attempts = max_attempts;
        self
    }

    /// How long one attempt may take. Default: the worker's. Smallest 1 ms.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// From −10 (first) to 10 (last). Default 0.
    pub fn priority(mut self, priority: impl Into<i64>) -> Self {
        self.priority = priority.into();
        self
    }

    /// When a failed attempt is tried again. Default: 1 s, 2 s, 4 s … at most 6 h, ± 10 %.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = Some(policy);
        self
    }

    /// How long it stays after its end. Default: completed 24 h, cancelled 7 d, discarded 30 d.
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = Some(retention);
        self
    }

    /// Forbids a second job with this key in its queue while this one is not terminal.
    pub fn unique_key(mut self, key: impl Into<String>) -> Self {
        self.unique_key = Some(key.into());
        self
    }

    /// Adds a word to find it by.
    pub fn tag(mut self, tag: impl Into<Cow<'static, str>>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Adds or replaces a key of its metadata.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.insert(key, value);
        self
    }

    /// Runs this long after it is stored, by the store's clock.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.when = When::After(delay);
        self
    }

    /// Runs not before this instant of the store's clock.
    pub fn run_at(mut self, at: impl Into<Timestamp>) -> Self {
        self.when = When::At(at.into());
        self
    }

    /// Holds it until it is released.
    pub fn suspended(mut self) -> Self {
        self.when = When::Suspended;
        self
    }

    /// Checks everything and makes the job to store.
    ///
    /// # Errors
    /// [`InvalidJob`] lists every fault.
    pub fn prepare(self, id: JobId, kind: &str, args: Args) -> Result<NewJob, InvalidJob> {
        let mut faults = Faults::default();
        let kind = faults.take("kind", Name::new(kind));
        let queue = faults.take("queue", Name::new(&self.queue));
        let priority = faults.take("priority", Priority::new(self.priority));
        let tags: Vec<_> = self.tags.iter().filter_map(|tag| faults.take("tag", Name::new(tag))).collect();
        let unique_key = self.unique_key.map(|key| faults.take_whole(UniqueKey::new(key)));
        let max_attempts = NonZeroU16::new(self.max_attempts);
        faults.check(max_attempts.is_some(), || {
            "max_attempts is 0; the smallest is 1, the first run".to_owned()
        });
        faults.of_options(tags.len(), self.timeout, self.retry.as_ref(), &self.metadata);
        let (Some(kind), Some(queue), Some(priority), Some(max_attempts), true) =
            (kind, queue, priority, max_attempts, faults.is_empty())
        else {
            return Err(faults.into());
        };
        let spec = JobSpec {
            kind,
            queue,
            priority,
            args,
            max_attempts,
            timeout: self.timeout,
            retry: self.retry.map(Box::new),
            retention: self.retention.map(Box::new),
            unique_key: unique_key.flatten(),
            tags,
            metadata: self.metadata,
        };
        Ok(NewJob::new(id, spec).when(self.when))
    }
}

/// A job and the options of this one enqueue. Anything `Into<Enqueue<J>>` can be enqueued: a job by itself,
/// or with overrides from [`JobExt`].
#[derive(Debug, Clone)]
pub struct Enqueue<J> {
    job: J,
    options: JobOptions,
}

impl<J: Job> From<J> for Enqueue<J> {
    fn from(job: J) -> Self {
        Self { job, options: J::options() }
    }
}

impl<J: Job> Enqueue<J> {
    /// The job with its options changed.
    pub fn with(mut self, change: impl FnOnce(JobOptions) -> JobOptions) -> Self {
        self.options = change(self.options);
        self
    }

    /// Checks everything and makes the job to store.
    ///
    /// # Errors
    /// [`InvalidJob`] lists every fault.
    pub fn prepare(self, id: JobId) -> Result<NewJob, InvalidJob> {
        let args = Args::encode(&self.job).map_err(|error| InvalidJob::new(format!("args: {error}")))?;
        self.options.prepare(id, J::KIND, args)
    }

    /// The job itself.
    pub fn into_job(self) -> J {
        self.job
    }
}

macro_rules! overrides {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*);)*) => {
        /// Options of one enqueue, on the job itself: `Welcome { user_id: 7 }.delay(HOUR).priority(-5)`.
        pub trait JobExt: Job + Sized {
            $($(#[$doc])* fn $name(self, $($arg: $type),*) -> Enqueue<Self> { Enqueue::from(self).$name($($arg),*) })*
        }
        impl<J: Job> JobExt for J {}
        impl<J: Job> Enqueue<J> {
            $($(#[$doc])* pub fn $name(self, $($arg: $type),*) -> Self { self.with(|options| options.$name($($arg),*)) })*
        }
    };
}

overrides! {
    /// Another queue than the kind's.
    queue(queue: impl Into<Cow<'static, str>>);
    /// How often it runs at most, the first time included.
    max_attempts(max_attempts: u16);
    /// How long one attempt may take.
    timeout(timeout: Duration);
    /// From −10 (first) to 10 (last).
    priority(priority: impl Into<i64>);
    /// When a failed attempt is tried again.
    retry(policy: RetryPolicy);
    /// How long it stays after its end.
    retention(retention: Retention);
    /// Forbids a second job with this key in its queue while this one is not terminal.
    unique_key(key: impl Into<String>);
    /// Adds a word to find it by.
    tag(tag: impl Into<Cow<'static, str>>);
    /// Adds or replaces a key of its metadata.
    metadata(key: impl Into<String>, value: impl Into<Value>);
    /// Runs this long after it is stored, by the store's clock.
    delay(delay: Duration);
    /// Runs not before this instant of the store's clock.
    run_at(at: impl Into<Timestamp>);
    /// Holds it until it is released.
    suspended();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::IdSource;

    #[test]
    fn every_fault_is_reported_at_once() {
        let id = IdSource::new().next(Timestamp::EPOCH);
        let options = JobOptions::new()
            .queue("a b")
            .priority(11)
            .max_attempts(0)
            .unique_key("")
            .timeout(Duration::from_micros(999))
            .retry(RetryPolicy::exponential(Duration::from_secs(1), f64::INFINITY, Duration::from_secs(9)));
        let error = options.tag("ä").prepare(id, "", Args::empty()).expect_err("nothing of it is valid");
        assert_eq!(error.faults().len(), 8, "{error}");
    }

    #[test]
    fn the_options_reach_the_job() {
        let id = IdSource::new().next(Timestamp::EPOCH);
        let job = JobOptions::new()
            .queue("mail")
            .priority(-3)
            .tag("x")
            .delay(Duration::from_secs(5))
            .prepare(id, "k", Args::empty())
            .expect("it is valid");
        assert_eq!((job.spec.queue.as_str(), job.spec.priority.get()), ("mail", -3));
        assert_eq!(job.when, When::After(Duration::from_secs(5)));
    }
}
