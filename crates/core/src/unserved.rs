//! Jobs that no live worker will run: in a queue that none serves, of a kind that none handles, behind a
//! pause.

use std::fmt;
use std::time::Duration;

use crate::{
    Count, JobState, KindSet, Name, QueueStats, StatsReply, Timestamp, WorkerRecord, format_duration,
};

/// Jobs that wait for something that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unserved {
    /// The queue they are in.
    pub queue: Name,
    /// What they wait for.
    pub why: UnservedWhy,
    /// How many there are.
    pub jobs: Count,
    /// For how long the oldest has been due.
    pub oldest: Duration,
}

/// What jobs wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnservedWhy {
    /// No live worker fetches from the queue.
    Queue,
    /// No live worker of the queue has a handler for this kind.
    Kind(Name),
    /// The queue is paused.
    Paused,
}

impl Unserved {
    /// What to do about it.
    pub fn remedy(&self) -> String {
        let queue = &self.queue;
        match &self.why {
            UnservedWhy::Queue => format!("start a worker that serves queue `{queue}`"),
            UnservedWhy::Kind(kind) => {
                format!("start a worker of queue `{queue}` with a handler for kind `{kind}`")
            }
            UnservedWhy::Paused => format!("resume queue `{queue}`, or cancel its jobs"),
        }
    }
}

impl fmt::Display for Unserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (jobs, queue) = (jobs(self.jobs), &self.queue);
        match &self.why {
            UnservedWhy::Queue => write!(f, "{jobs} in queue `{queue}`, which no live worker serves")?,
            UnservedWhy::Kind(kind) => {
                write!(
                    f,
                    "{jobs} of kind `{kind}` in queue `{queue}`, for which no live worker has a handler"
                )?;
            }
            UnservedWhy::Paused => write!(f, "{jobs} in the paused queue `{queue}`")?,
        }
        write!(f, "; the oldest has been due for {}", format_duration(whole_seconds(self.oldest)))
    }
}

/// A count as text: `1 job`, `3 jobs`, `more than 1000 jobs`.
fn jobs(count: Count) -> String {
    let more = if count.capped { "more than " } else { "" };
    let plural = if count.value == 1 { "" } else { "s" };
    format!("{more}{} job{plural}", count.value)
}

fn whole_seconds(duration: Duration) -> Duration {
    if duration < Duration::from_secs(1) { duration } else { Duration::from_secs(duration.as_secs()) }
}

/// The due jobs that no worker will run as things are, queue by queue in the order of the report.
///
/// A worker lives as long as its lease holds at `now`. Jobs that are due later are left out: they wait for a
/// time.
pub fn unserved(stats: &StatsReply, workers: &[WorkerRecord], now: Timestamp) -> Vec<Unserved> {
    let live: Vec<&WorkerRecord> = workers.iter().filter(|worker| worker.lease_expires_at > now).collect();
    let mut found = Vec::new();
    for stats in &stats.queues {
        let queue = &stats.queue.name;
        let servers: Vec<KindSet> = live
            .iter()
            .filter(|worker| worker.queues.contains(queue))
            .map(|worker| KindSet::new(&worker.kinds))
            .collect();
        let why = if stats.queue.is_paused() {
            Some(UnservedWhy::Paused)
        } else {
            servers.is_empty().then_some(UnservedWhy::Queue)
        };
        match why {
            Some(why) => found.extend(all(stats, why)),
            None => found.extend(unhandled(stats, &servers)),
        }
    }
    found
}

/// All due jobs of a queue, if there are any.
fn all(stats: &QueueStats, why: UnservedWhy) -> Option<Unserved> {
    let counts = || stats.parked.iter().map(|kind| kind.count).chain([stats.count(JobState::Available)]);
    let jobs =
        Count { value: counts().map(|count| count.value).sum(), capped: counts().any(|count| count.capped) };
    let parked = stats.parked.iter().map(|kind| kind.oldest);
    let oldest = parked.chain(stats.oldest_available).max().unwrap_or_default();
    (jobs.value > 0).then(|| Unserved { queue: stats.queue.name.clone(), why, jobs, oldest })
}

/// The parked jobs of kinds that none of the queue's workers handles.
fn unhandled(stats: &QueueStats, servers: &[KindSet]) -> impl Iterator<Item = Unserved> {
    let unknown =
        stats.parked.iter().filter(|it| !servers.iter().any(|kinds| kinds.handles(it.kind.as_str())));
    unknown.map(|it| Unserved {
        queue: stats.queue.name.clone(),
        why: UnservedWhy::Kind(it.kind.clone()),
        jobs: it.count,
        oldest: it.oldest,
    })
}

/// What a worker of these queues and kinds waits for while it has nothing to run, part by part; empty where
/// its queues hold nothing that it may have to run.
pub fn waits_for(stats: &StatsReply, queues: &[Name], kinds: &KindSet) -> Vec<String> {
    let mut parts = Vec::new();
    for stats in stats.queues.iter().filter(|stats| queues.contains(&stats.queue.name)) {
        let queue = &stats.queue.name;
        let (mine, others): (Vec<_>, Vec<_>) =
            stats.parked.iter().partition(|it| kinds.handles(it.kind.as_str()));
        let parked: u64 = stats.parked.iter().map(|it| it.count.value).sum();
        let available = stats.count(JobState::Available);
        let due = Count {
            value: available.value + mine.iter().map(|it| it.count.value).sum::<u64>(),
            capped: available.capped,
        };
        if due.value > 0 && stats.queue.is_paused() {
            parts.push(format!("{} in the paused queue `{queue}`", jobs(due)));
        }
        for it in others {
            parts.push(format!(
                "{} of kind `{}` without a handler in queue `{queue}`",
                jobs(it.count),
                it.kind
            ));
        }
        let (scheduled, retryable) = (stats.count(JobState::Scheduled), stats.count(JobState::Retryable));
        let later = Count {
            value: scheduled.value.saturating_sub(parked) + retryable.value,
            capped: scheduled.capped || retryable.capped,
        };
        if later.value > 0 {
            parts.push(format!("{} of queue `{queue}` that are due later", jobs(later)));
        }
        let running = stats.count(JobState::Running);
        if running.value > 0 {
            parts.push(format!("{} of queue `{queue}` that other workers run", jobs(running)));
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ParkedKind, QueueRecord, WorkerId};

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn name(text: &str) -> Name {
        Name::new(text).expect("it is one")
    }

    fn count(value: u64) -> Count {
        Count { value, capped: false }
    }

    fn queue(of: &str, available: u64, parked: &[(&str, u64)]) -> QueueStats {
        let mut stats = QueueStats::new(QueueRecord::new(name(of)));
        stats.counts[JobState::Available.index()] = count(available);
        stats.oldest_available = (available > 0).then_some(Duration::from_millis(90_700));
        let kind = |(kind, jobs): &(&str, u64)| ParkedKind {
            kind: name(kind),
            count: count(*jobs),
            oldest: Duration::from_secs(7),
        };
        stats.parked = parked.iter().map(kind).collect();
        let all = parked.iter().map(|(_, jobs)| jobs).sum();
        stats.counts[JobState::Scheduled.index()] = count(all);
        stats
    }

    fn worker(queues: &[&str], kinds: &[&str]) -> WorkerRecord {
        let mut worker = WorkerRecord::new(WorkerId::random(), "w", NOW, Duration::from_secs(30));
        worker.queues = queues.iter().map(|queue| name(queue)).collect();
        worker.kinds = kinds.iter().map(|kind| name(kind)).collect();
        worker
    }

    fn texts(queues: Vec<QueueStats>, workers: &[WorkerRecord]) -> Vec<String> {
        let stats = StatsReply { queues, ..StatsReply::default() };
        unserved(&stats, workers, NOW).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_queue_without_a_live_worker_and_a_kind_without_a_handler_are_named_with_their_age() {
        let queues =
            vec![queue("mail", 2, &[]), queue("default", 3, &[("a", 1), ("b", 4)]), queue("empty", 0, &[])];
        let mut dead = worker(&["mail"], &[]);
        dead.lease_expires_at = NOW;
        let workers = [worker(&["default"], &["a"]), worker(&["other"], &["b"]), dead];
        assert_eq!(
            texts(queues, &workers),
            [
                "2 jobs in queue `mail`, which no live worker serves; the oldest has been due for 1m30s",
                "4 jobs of kind `b` in queue `default`, for which no live worker has a handler; the oldest has been due \
                 for 7s",
            ]
        );
    }

    #[test]
    fn a_worker_without_kinds_handles_all() {
        assert!(texts(vec![queue("q", 1, &[("a", 1)])], &[worker(&["q"], &[])]).is_empty());
    }

    #[test]
    fn a_pause_is_named_where_jobs_wait_behind_it() {
        let mut paused = queue("q", 0, &[("a", 1)]);
        paused.queue.paused_at = Some(NOW);
        let mut empty = queue("r", 0, &[]);
        empty.queue.paused_at = Some(NOW);
        assert_eq!(
            texts(vec![paused, empty], &[worker(&["q"], &[])]),
            ["1 job in the paused queue `q`; the oldest has been due for 7s"]
        );
    }

    #[test]
    fn a_worker_says_what_it_waits_for() {
        let mut paused = queue("q", 3, &[("x", 2)]);
        paused.queue.paused_at = Some(NOW);
        let mut later = queue("r", 0, &[("y", 1)]);
        later.counts[JobState::Scheduled.index()] = count(5);
        let queues = vec![paused, later, queue("s", 9, &[])];
        let stats = StatsReply { queues, ..StatsReply::default() };
        let kinds = KindSet::new(&[name("x")]);
        assert_eq!(
            waits_for(&stats, &[name("q"), name("r")], &kinds),
            [
                "5 jobs in the paused queue `q`",
                "1 job of kind `y` without a handler in queue `r`",
                "4 jobs of queue `r` that are due later",
            ]
        );
    }

    #[test]
    fn jobs_that_come_later_or_run_elsewhere_are_named_and_due_ones_only_behind_a_pause() {
        let mut stats = queue("q", 3, &[("x", 2)]);
        stats.counts[JobState::Scheduled.index()] = count(2);
        stats.counts[JobState::Retryable.index()] = Count { value: 4, capped: true };
        stats.counts[JobState::Running.index()] = count(1);
        let mut empty = queue("r", 0, &[]);
        empty.queue.paused_at = Some(NOW);
        let stats = StatsReply { queues: vec![stats, empty], ..StatsReply::default() };
        assert_eq!(
            waits_for(&stats, &[name("q"), name("r")], &KindSet::default()),
            ["more than 4 jobs of queue `q` that are due later", "1 job of queue `q` that other workers run"]
        );
    }

    #[test]
    fn what_is_capped_and_what_is_younger_than_a_second_is_said_as_it_is() {
        let mut stats = queue("q", 2, &[]);
        stats.counts[JobState::Available.index()].capped = true;
        for (oldest, text) in [(999, "999ms"), (1_000, "1s"), (1_001, "1s")] {
            stats.oldest_available = Some(Duration::from_millis(oldest));
            let wanted = format!(
                "more than 2 jobs in queue `q`, which no live worker serves; the oldest has been due for {text}"
            );
            assert_eq!(texts(vec![stats.clone()], &[]), [wanted]);
        }
    }

    #[test]
    fn each_reason_has_its_remedy() {
        let mut found =
            Unserved { queue: name("q"), why: UnservedWhy::Queue, jobs: count(1), oldest: Duration::ZERO };
        assert_eq!(found.remedy(), "start a worker that serves queue `q`");
        found.why = UnservedWhy::Kind(name("k"));
        assert_eq!(found.remedy(), "start a worker of queue `q` with a handler for kind `k`");
        found.why = UnservedWhy::Paused;
        assert_eq!(found.remedy(), "resume queue `q`, or cancel its jobs");
    }
}
