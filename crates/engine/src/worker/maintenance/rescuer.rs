//! Takes back the jobs of dead workers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gristmill_core::{Event, EventKind, JobState, RescueReply};

use super::ROUND;
use crate::call::{Trouble, answer, is_outage};
use crate::worker::shared::Shared;

const SHORTEST_INTERVAL: Duration = Duration::from_millis(250);
const LONGEST_INTERVAL: Duration = Duration::from_secs(5);
/// Where hints arrive, a look costs a call to a server that many workers share.
const LONGEST_HINTED_INTERVAL: Duration = Duration::from_secs(10);
/// Workers that see the same lease end part by this much.
const SPREAD: Duration = Duration::from_millis(100);

/// Looks four times a lease, and when the next lease ends.
///
/// After an outage it waits one lease: others could not reach the store either, and shall have their chance to renew.
pub(crate) async fn rescue(shared: Arc<Shared>) {
    let mut trouble = Trouble::new("rescue");
    let stopping = shared.control.stopping.clone();
    let mut wait = Duration::ZERO;
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = if shared.outage.load(Ordering::SeqCst) {
            after_outage(&shared, &mut trouble).await
        } else {
            round(&shared, &mut trouble).await
        };
    }
}

/// Whether the store answers again; then one lease of patience.
async fn after_outage(shared: &Shared, trouble: &mut Trouble) -> Duration {
    match answer(shared.call_deadline(), "ping", shared.backend().ping(shared.call())).await {
        Ok(_) => {
            trouble.over();
            shared.outage.store(false, Ordering::SeqCst);
            shared.options.lease
        }
        Err(error) => trouble.failed(&error),
    }
}

async fn round(shared: &Shared, trouble: &mut Trouble) -> Duration {
    let call = shared.backend().rescue(shared.call(), ROUND);
    match answer(shared.call_deadline(), "rescue", call).await {
        Ok(reply) => {
            trouble.over();
            note(shared, &reply);
            if reply.more && !reply.jobs.is_empty() { Duration::ZERO } else { pause(shared, &reply) }
        }
        Err(error) => {
            if is_outage(&error) {
                shared.outage.store(true, Ordering::SeqCst);
            }
            trouble.failed(&error)
        }
    }
}

fn pause(shared: &Shared, reply: &RescueReply) -> Duration {
    let longest = if shared.backend().hears_hints() { LONGEST_HINTED_INTERVAL } else { LONGEST_INTERVAL };
    // Shorter than a lease: one that began after this look is seen before it ends, and the look after it comes at its
    // end.
    let interval = (shared.options.lease / 4).clamp(SHORTEST_INTERVAL, longest);
    let interval = interval.mul_f64(0.9 + fastrand::f64() / 5.0);
    let until_due = reply.next_due.map_or(interval, |due| due.since(shared.store_now()));
    if until_due.is_zero() && reply.jobs.is_empty() {
        // A worker whose lease has ended and that cannot be taken for dead now: looking at once would not help.
        return interval.min(SHORTEST_INTERVAL);
    }
    interval.min(until_due + SPREAD.mul_f64(fastrand::f64()).max(Duration::from_millis(1)))
}

fn note(shared: &Shared, reply: &RescueReply) {
    if reply.jobs.is_empty() {
        return;
    }
    shared.counters.rescued.add(reply.jobs.len() as u64);
    gristmill_core::log!(
        warn,
        name: "jobs_rescued", target: "gristmill::worker", jobs = reply.jobs.len(),
        "jobs of a worker whose lease had ended are taken back"
    );
    for job in &reply.jobs {
        let mut event = Event::new(EventKind::Rescued, job.id);
        event.queue = Some(job.queue.clone());
        shared.hooks.emit(&event);
        match job.state {
            JobState::Available => shared.appetite.wake(&job.queue),
            // Due at a time only the store knows: the promoter asks.
            JobState::Retryable => shared.due.at(shared.store_now()),
            JobState::Discarded => gristmill_core::log!(
                error,
                name: "job_discarded", target: "gristmill::job", job = %job.id, queue = %job.queue,
                "a job whose workers died is discarded"
            ),
            JobState::Suspended
            | JobState::Scheduled
            | JobState::Running
            | JobState::Completed
            | JobState::Cancelled => {}
        }
    }
}
