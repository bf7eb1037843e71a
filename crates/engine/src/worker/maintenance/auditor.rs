//! Looks for jobs that are in no place.
//!
//! There are none, unless the store or the engine has a defect; then a repair keeps the job from being lost, and the
//! log tells of it. A slice a minute goes through a large store in its own time and costs next to nothing.

use std::sync::Arc;
use std::time::Duration;

use gristmill_core::{AuditReply, Cursor};

use super::ROUND;
use crate::call::{Trouble, answer};
use crate::worker::shared::Shared;

const INTERVAL: Duration = Duration::from_secs(60);
/// At most this many repaired jobs are named in the log.
const MOST_NAMED: usize = 10;

/// Every minute the next slice of the store, from its beginning again after its end.
pub(crate) async fn audit(shared: Arc<Shared>) {
    let mut trouble = Trouble::new("audit");
    let stopping = shared.control.stopping.clone();
    let mut cursor: Option<Cursor> = None;
    // Workers that start together part.
    let mut wait = INTERVAL.mul_f64(fastrand::f64());
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        match answer(shared.call_deadline(), "audit", shared.backend().audit(shared.call(), cursor, ROUND))
            .await
        {
            Ok(reply) => {
                trouble.over();
                note(&shared, &reply);
                cursor = reply.next;
            }
            // The same slice a minute later: nobody waits for it.
            Err(error) => {
                trouble.failed(&error);
            }
        }
        wait = INTERVAL.mul_f64(0.9 + fastrand::f64() / 5.0);
    }
}

fn note(shared: &Shared, reply: &AuditReply) {
    if reply.repaired.is_empty() {
        return;
    }
    shared.counters.repaired.add(reply.repaired.len() as u64);
    let named: Vec<String> = reply.repaired.iter().take(MOST_NAMED).map(ToString::to_string).collect();
    gristmill_core::log!(
        error,
        name: "jobs_repaired", target: "gristmill::worker",
        repaired = reply.repaired.len(), jobs = %named.join(" "),
        hint = "this is a defect of Gristmill or of the store: please report it with what happened before",
        "jobs were in no place and are available again"
    );
    shared.appetite.wake_all();
}

#[cfg(test)]
mod tests {
    use gristmill_core::{IdSource, Timestamp};
    use gristmill_memory::Memory;

    use super::*;
    use crate::Client;
    use crate::handler::route::Routes;
    use crate::hooks::Hooks;
    use crate::worker::options::WorkerOptions;

    #[test]
    fn repaired_jobs_are_counted() {
        let client = Client::new(Memory::new());
        let shared = Shared::new(client, WorkerOptions::default(), &Routes::default(), Hooks::default());
        let mut reply = AuditReply::default();
        note(&shared, &reply);
        assert_eq!(shared.counters.snapshot().repaired, 0);
        reply.repaired = (0..20).map(|_| IdSource::new().next(Timestamp::EPOCH)).collect();
        note(&shared, &reply);
        assert_eq!(shared.counters.snapshot().repaired, 20);
    }
}
