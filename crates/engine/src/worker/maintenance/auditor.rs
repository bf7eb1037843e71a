//! Looks for jobs that are in no place.
//!
//! There are none, unless the store or the engine has a defect; then a repair keeps the job from being lost,
//! and the log tells of it. A slice a minute goes through a large store in its own time and costs next to
//! nothing.

use std::sync::Arc;
use std::time::Duration;

use gristmill_core::{AuditReply, Cursor};
use tokio_util::sync::CancellationToken;

use super::round::ROUND;
use crate::call::Trouble;
use crate::report::Counters;
use crate::worker::fetcher::appetite::Appetite;
use crate::worker::store::Store;

const INTERVAL: Duration = Duration::from_secs(60);
/// At most this many repaired jobs are named in the log.
const MOST_NAMED: usize = 10;

/// What an audit uses of a worker.
#[derive(Debug, Clone)]
pub(crate) struct Auditor {
    pub(super) store: Store,
    pub(super) stopping: CancellationToken,
    pub(super) counters: Arc<Counters>,
    pub(super) appetite: Arc<Appetite>,
}

impl Auditor {
    /// Every minute the next slice of the store, from its beginning again after its end.
    pub(crate) async fn run(self) {
        let mut trouble = Trouble::new("audit");
        let mut cursor: Option<Cursor> = None;
        // Workers that start together part.
        let mut wait = INTERVAL.mul_f64(fastrand::f64());
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            match self.store.ask("audit", |backend, call| backend.audit(call, cursor, ROUND)).await {
                Ok(reply) => {
                    trouble.over();
                    self.note(&reply);
                    cursor = reply.next;
                }
                // The same slice a minute later: nothing waits for it.
                Err(error) => {
                    trouble.failed(&error);
                }
            }
            wait = INTERVAL.mul_f64(0.9 + fastrand::f64() / 5.0);
        }
    }

    fn note(&self, reply: &AuditReply) {
        if reply.repaired.is_empty() {
            return;
        }
        self.counters.repaired.add(reply.repaired.len() as u64);
        let named: Vec<String> = reply.repaired.iter().take(MOST_NAMED).map(ToString::to_string).collect();
        gristmill_core::log!(
            error,
            name: "jobs_repaired", target: "gristmill::worker",
            repaired = reply.repaired.len(), jobs = %named.join(" "),
            hint = "this is a defect of Gristmill or of the store: please report it with what happened before",
            "jobs were in no place and are available again"
        );
        self.appetite.wake_all();
    }
}

#[cfg(test)]
mod tests {
    use gristmill_core::{IdSource, Timestamp};
    use gristmill_memory::Memory;

    use super::*;
    use crate::Client;
    use crate::worker::options::WorkerOptions;

    #[test]
    fn repaired_jobs_are_counted() {
        let options = WorkerOptions::default();
        let auditor = Auditor {
            store: Store::new(Client::new(Memory::new()), &options),
            stopping: CancellationToken::new(),
            counters: Arc::default(),
            appetite: Arc::new(Appetite::new(&options)),
        };
        let mut reply = AuditReply::default();
        auditor.note(&reply);
        assert_eq!(auditor.counters.snapshot().repaired, 0);
        reply.repaired = (0..20).map(|_| IdSource::new().next(Timestamp::EPOCH)).collect();
        auditor.note(&reply);
        assert_eq!(auditor.counters.snapshot().repaired, 20);
    }
}
