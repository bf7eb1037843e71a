//! What random jobs and filters look like. Few values, so that they meet.

use std::fmt;
use std::num::NonZeroU16;
use std::time::Duration;

use gristmill_core::{
    Args, JobFilter, JobSpec, JobState, Name, Priority, Retention, RetryPolicy, UniqueKey, When,
};
use proptest::prelude::{Just, Strategy, any};
use proptest::{option, prop_oneof};

use crate::fixture::name;

/// The queues of every history.
pub(super) const QUEUES: [&str; 2] = ["a", "b"];
/// The tag half of the jobs carry.
const TAG: &str = "red";
const KINDS: [&str; 2] = ["k", "l"];
/// The delay of the retry policy that jobs carry.
const RETRY: Duration = Duration::from_secs(20);

/// Chooses one of whatever there is when the operation is reached.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Pick(u8);

impl Pick {
    pub(super) fn of<T: Clone>(self, among: &[T]) -> Option<T> {
        among.get(usize::from(self.0).checked_rem(among.len())?).cloned()
    }

    pub(super) fn any() -> impl Strategy<Value = Self> + Clone {
        any::<u8>().prop_map(Self)
    }
}

impl fmt::Debug for Pick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// The kinds a worker has handlers for.
#[derive(Debug, Clone, Copy)]
pub(super) enum KindsShape {
    /// It says nothing of kinds.
    Every,
    Both,
    First,
    Second,
}

impl KindsShape {
    pub(super) fn any() -> impl Strategy<Value = Self> + Clone {
        prop_oneof![2 => Just(Self::Every), 2 => Just(Self::Both), 3 => Just(Self::First), 2 => Just(Self::Second)]
    }

    pub(super) fn names(self) -> Vec<Name> {
        match self {
            Self::Every => Vec::new(),
            Self::Both => vec![kind(true), kind(false)],
            Self::First => vec![kind(false)],
            Self::Second => vec![kind(true)],
        }
    }
}

/// A random job.
#[derive(Clone)]
pub(super) struct JobShape {
    queue: bool,
    kind: bool,
    priority: i64,
    when: When,
    key: Option<u8>,
    max_attempts: u16,
    retention: Option<Duration>,
    tag: bool,
    /// Enqueue this job's id again instead of a new one.
    pub(super) repeat: Option<Pick>,
}

impl JobShape {
    pub(super) fn any() -> impl Strategy<Value = Self> + Clone {
        let retention = prop_oneof![6 => Just(None), 1 => Just(Some(Duration::ZERO)), 2 => Just(Some(Duration::from_millis(5_005)))];
        (
            any::<bool>(),
            any::<bool>(),
            -1..=1_i64,
            when(),
            option::weighted(0.4, 0..3_u8),
            prop_oneof![Just(1), Just(2), Just(20)],
            retention,
            option::weighted(0.1, Pick::any()),
            any::<bool>(),
        )
            .prop_map(|(queue, kind, priority, when, key, max_attempts, retention, repeat, tag)| {
                Self { queue, kind, priority, when, key, max_attempts, retention, tag, repeat }
            })
    }

    pub(super) fn when(&self) -> When {
        self.when
    }

    pub(super) fn spec(&self) -> JobSpec {
        let mut spec = JobSpec::new(kind(self.kind), queue(self.queue), Args::empty());
        spec.priority = priority(self.priority);
        spec.unique_key = self
            .key
            .map(|key| UniqueKey::new(format!("key-{key}")).unwrap_or_else(|error| panic!("{error}")));
        spec.max_attempts = NonZeroU16::new(self.max_attempts).expect("a job runs at least once");
        spec.retention = self.retention.map(|retention| Box::new(Retention::all(retention)));
        if self.tag {
            spec.tags.push(name(TAG));
        }
        spec.retry = Some(Box::new(RetryPolicy::fixed(RETRY).without_jitter()));
        spec
    }
}

impl fmt::Debug for JobShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job in {} of kind {}", queue(self.queue), kind(self.kind))?;
        if let Some(pick) = self.repeat {
            write!(f, ", with the id of job {pick:?}")?;
        }
        if self.priority != 0 {
            write!(f, ", priority {}", self.priority)?;
        }
        if self.when != When::Now {
            write!(f, ", {:?}", self.when)?;
        }
        if let Some(key) = self.key {
            write!(f, ", key {key}")?;
        }
        if self.tag {
            write!(f, ", tag {TAG}")?;
        }
        if self.max_attempts != 20 {
            write!(f, ", {} attempts", self.max_attempts)?;
        }
        match self.retention {
            Some(retention) => write!(f, ", kept {retention:?}"),
            None => Ok(()),
        }
    }
}

/// When a random job may run. Times are whole tens of milliseconds, leases and retentions are not, so that no
/// history depends on what happens at the very instant a lease or retention ends.
pub(super) fn when() -> impl Strategy<Value = When> + Clone {
    prop_oneof![
        6 => Just(When::Now),
        2 => prop_oneof![Just(10), Just(1_000), Just(20_000)].prop_map(|ms| When::After(Duration::from_millis(ms))),
        1 => Just(When::At(gristmill_core::Timestamp::EPOCH)),
        1 => Just(When::Suspended),
    ]
}

pub(super) fn queue(second: bool) -> Name {
    name(QUEUES[usize::from(second)])
}

pub(super) fn kind(second: bool) -> Name {
    name(KINDS[usize::from(second)])
}

pub(super) fn priority(number: i64) -> Priority {
    Priority::new(number).unwrap_or_else(|error| panic!("{error}"))
}

/// A random filter; what it names of the store is chosen when it is reached.
#[derive(Debug, Clone)]
pub(super) struct FilterShape {
    /// States, queues, kinds and tags.
    pub(super) fixed: JobFilter,
    /// This job's id, and one more.
    pub(super) ids: Option<(Pick, Pick)>,
    /// The worker that runs, or ran last, this job.
    pub(super) worker_of: Option<Pick>,
    /// Stored with this job or later.
    pub(super) from: Option<Pick>,
    /// Stored before this job.
    pub(super) before: Option<Pick>,
}

impl FilterShape {
    pub(super) fn any() -> impl Strategy<Value = Self> + Clone {
        let rarely = || option::weighted(0.15, Pick::any());
        let ids = option::weighted(0.15, (Pick::any(), Pick::any()));
        (fixed_filter(), ids, rarely(), rarely(), rarely())
            .prop_map(|(fixed, ids, worker_of, from, before)| Self { fixed, ids, worker_of, from, before })
    }
}

fn fixed_filter() -> impl Strategy<Value = JobFilter> + Clone {
    (
        option::weighted(0.6, 0..JobState::ALL.len()),
        option::weighted(0.2, 0..JobState::ALL.len()),
        option::weighted(0.4, any::<bool>()),
        option::weighted(0.3, any::<bool>()),
        any::<bool>(),
    )
        .prop_map(|(state, other, in_queue, of_kind, tagged)| {
            let mut filter = JobFilter::new();
            filter.states = state.into_iter().chain(other).map(|index| JobState::ALL[index]).collect();
            filter.queues = in_queue.into_iter().map(queue).collect();
            filter.kinds = of_kind.into_iter().map(kind).collect();
            filter.tags = tagged.then(|| name(TAG)).into_iter().collect();
            filter
        })
}
