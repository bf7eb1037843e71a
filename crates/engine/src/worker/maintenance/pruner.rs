//! Deletes what is past its retention.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::round::ROUND;
use crate::call::Trouble;
use crate::worker::store::Store;

const INTERVAL: Duration = Duration::from_secs(60);
/// Between rounds the store has time for work.
const BREATH: Duration = Duration::from_millis(20);
/// At most this many rounds in a row, then a minute of rest.
const ROUNDS: u32 = 200;

/// What pruning uses of a worker.
#[derive(Debug, Clone)]
pub(crate) struct Pruner {
    pub(super) store: Store,
    pub(super) stopping: CancellationToken,
}

impl Pruner {
    /// Every minute, as many rounds as there is something to delete, bounded.
    pub(crate) async fn run(self) {
        let mut trouble = Trouble::new("prune");
        let mut rounds = 0;
        let mut wait = INTERVAL.mul_f64(fastrand::f64());
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            let more = match self.store.ask("prune", |backend, call| backend.prune(call, ROUND)).await {
                Ok(reply) => {
                    trouble.over();
                    // What is left and held by others is not there to be had.
                    reply.more && reply.done > 0
                }
                Err(error) => {
                    trouble.failed(&error);
                    false
                }
            };
            rounds = if more && rounds < ROUNDS { rounds + 1 } else { 0 };
            wait = if rounds > 0 { BREATH } else { INTERVAL.mul_f64(0.9 + fastrand::f64() / 5.0) };
        }
    }
}
