//! Numbers, queues and workers.

use gristmill::{Count, JobState, Name, QueueRecord, StatsReply, Timestamp, WorkerRecord};
use serde::Serialize;

use super::millis;

/// `stats --json`:
///
/// ```json
/// {"queues":[{"queue":"default","paused":false,"suspended":0,"scheduled":0,"available":0,"running":0,
///             "retryable":0,"completed":0,"cancelled":0,"discarded":0,"oldest_available_ms":null}],
///  "totals":{"suspended":0,…},"stale_finishes":0,"capped":["queues.default.completed","totals.completed"]}
/// ```
#[derive(Debug, Serialize)]
pub(crate) struct StatsShape<'a> {
    queues: Vec<QueueNumbers<'a>>,
    totals: States,
    stale_finishes: u64,
    capped: Vec<String>,
}

#[derive(Debug, Serialize)]
struct QueueNumbers<'a> {
    queue: &'a Name,
    paused: bool,
    #[serde(flatten)]
    states: States,
    oldest_available_ms: Option<u64>,
}

/// The eight states, each with its count.
#[derive(Debug, Default, Serialize)]
struct States {
    suspended: u64,
    scheduled: u64,
    available: u64,
    running: u64,
    retryable: u64,
    completed: u64,
    cancelled: u64,
    discarded: u64,
}

impl States {
    fn of(count: impl Fn(JobState) -> u64) -> Self {
        Self {
            suspended: count(JobState::Suspended),
            scheduled: count(JobState::Scheduled),
            available: count(JobState::Available),
            running: count(JobState::Running),
            retryable: count(JobState::Retryable),
            completed: count(JobState::Completed),
            cancelled: count(JobState::Cancelled),
            discarded: count(JobState::Discarded),
        }
    }
}

impl<'a> From<&'a StatsReply> for StatsShape<'a> {
    fn from(reply: &'a StatsReply) -> Self {
        let total = |state| reply.queues.iter().map(|queue| queue.count(state).value).sum();
        let mut capped = Vec::new();
        for queue in &reply.queues {
            for state in JobState::ALL.iter().copied().filter(|state| queue.count(*state).capped) {
                capped.push(format!("queues.{}.{state}", queue.queue.name));
            }
        }
        for state in JobState::ALL.iter().copied() {
            if reply.queues.iter().any(|queue| queue.count(state).capped) {
                capped.push(format!("totals.{state}"));
            }
        }
        let queues = reply.queues.iter().map(|queue| QueueNumbers {
            queue: &queue.queue.name,
            paused: queue.queue.is_paused(),
            states: States::of(|state| queue.count(state).value),
            oldest_available_ms: queue.oldest_available.map(millis),
        });
        Self {
            queues: queues.collect(),
            totals: States::of(total),
            stale_finishes: reply.stale_finishes,
            capped,
        }
    }
}

/// A line of `queues list --json`.
#[derive(Debug, Serialize)]
pub(crate) struct QueueShape<'a> {
    queue: &'a Name,
    paused: bool,
    paused_at: Option<Timestamp>,
    pause_reason: Option<&'a str>,
    paused_by: Option<&'a str>,
    /// What of the stored row cannot be read; absent where all can.
    #[serde(skip_serializing_if = "Option::is_none")]
    undecodable: Option<&'a str>,
}

impl<'a> From<&'a QueueRecord> for QueueShape<'a> {
    fn from(queue: &'a QueueRecord) -> Self {
        Self {
            queue: &queue.name,
            paused: queue.is_paused(),
            paused_at: queue.paused_at,
            pause_reason: queue.pause_reason.as_deref(),
            paused_by: queue.paused_by.as_deref(),
            undecodable: queue.undecodable.as_deref(),
        }
    }
}

/// A line of `workers list --json`.
#[derive(Debug, Serialize)]
pub(crate) struct WorkerShape<'a> {
    worker: String,
    label: &'a str,
    started_at: Timestamp,
    heartbeat_at: Timestamp,
    lease_expires_at: Timestamp,
    lease_ms: u64,
    slots: u32,
    running: u64,
    queues: &'a [Name],
    kinds: &'a [Name],
    /// What of the stored row cannot be read; absent where all can.
    #[serde(skip_serializing_if = "Option::is_none")]
    undecodable: Option<&'a str>,
}

impl<'a> From<&'a WorkerRecord> for WorkerShape<'a> {
    fn from(worker: &'a WorkerRecord) -> Self {
        Self {
            worker: worker.id.to_string(),
            label: &worker.label,
            started_at: worker.started_at,
            heartbeat_at: worker.heartbeat_at,
            lease_expires_at: worker.lease_expires_at,
            lease_ms: millis(worker.lease),
            slots: worker.slots,
            running: worker.running,
            queues: &worker.queues,
            kinds: &worker.kinds,
            undecodable: worker.undecodable.as_deref(),
        }
    }
}

/// A count for people: `1000000+` where it ended at the cap.
pub(crate) fn count_text(count: Count) -> String {
    if count.capped { format!("{}+", count.value) } else { count.value.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gristmill::QueueStats;

    #[test]
    fn a_capped_count_is_named_by_its_path() {
        let name = Name::new("mail").expect("a name");
        let mut queue = QueueStats::new(QueueRecord::new(name));
        queue.counts[JobState::Completed.index()] = Count { value: 1_000_000, capped: true };
        let mut reply = StatsReply::default();
        reply.queues.push(queue);
        let json = serde_json::to_string(&StatsShape::from(&reply)).expect("it is JSON");
        assert_eq!(
            json,
            "{\"queues\":[{\"queue\":\"mail\",\"paused\":false,\"suspended\":0,\"scheduled\":0,\"available\":0,\
             \"running\":0,\"retryable\":0,\"completed\":1000000,\"cancelled\":0,\"discarded\":0,\
             \"oldest_available_ms\":null}],\"totals\":{\"suspended\":0,\"scheduled\":0,\"available\":0,\"running\":0,\
             \"retryable\":0,\"completed\":1000000,\"cancelled\":0,\"discarded\":0},\"stale_finishes\":0,\
             \"capped\":[\"queues.mail.completed\",\"totals.completed\"]}"
        );
    }
}
