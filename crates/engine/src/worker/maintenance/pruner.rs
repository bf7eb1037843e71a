//! Deletes what is past its retention.

use std::sync::Arc;
use std::time::Duration;

use super::ROUND;
use crate::call::{Trouble, answer};
use crate::worker::shared::Shared;

const INTERVAL: Duration = Duration::from_secs(60);
/// Between rounds the store has time for work.
const BREATH: Duration = Duration::from_millis(20);
/// At most this many rounds in a row, then a minute of rest.
const ROUNDS: u32 = 200;

/// Every minute, as many rounds as there is something to delete, bounded.
pub(crate) async fn prune(shared: Arc<Shared>) {
    let mut trouble = Trouble::new("prune");
    let stopping = shared.control.stopping.clone();
    let mut rounds = 0;
    let mut wait = INTERVAL.mul_f64(fastrand::f64());
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        let call = shared.backend().prune(shared.call(), ROUND);
        let more = match answer(shared.call_deadline(), "prune", call).await {
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
