//! The end of an attempt whose handler had a transaction.
//!
//! A success is stored by the transaction's own commit, everything else is rolled back first and ends in the ordinary
//! way. A commit whose answer is lost is followed by an ordinary end of the run as failed: the store accepts one of the
//! two, and its answer says which. So a job is neither completed without its handler's writes nor tried again after
//! them.

use gristmill_core::{
    BackendError, BackendErrorKind, BackendTx, Certainty, Ending, FinishItem, Finished, Lease, LostWhy,
    Outcome, RunError, time_for_bytes,
};

use super::driven::End;
use super::running::key;
use super::settled;
use super::shared::Shared;
use crate::Attempted;
use crate::call::{Trouble, answer, is_outage};
use crate::context::Left;
use crate::ended::Ended;
use crate::lessen::finish_alone;

/// An answer that is no outage is asked for this often; then the completer has the end, which knows how to part with
/// it.
const TRIES: u32 = 5;
/// How many runs of a job are looked at to find one.
const LATEST_RUNS: usize = 100;

/// Ends an attempt whose code has ended and that had a transaction.
///
/// # Cancel safety
/// Dropped before the commit begins the transaction is rolled back and the run ends as one that was stopped. Dropped
/// later the lease is given back, which the store refuses if it has committed.
pub(super) async fn conclude(mut end: End, left: Left) {
    let Some(said) = end.said.take() else { return };
    let completes = matches!(said.outcome, Outcome::Completed { .. });
    match left {
        Left::Open(transaction) if completes => commit(end, transaction, said).await,
        Left::Open(transaction) => {
            end.said = Some(said);
            roll_back(&end, transaction).await;
        }
        Left::Kept if completes => end.said = Some(still_in_use()),
        Left::Kept | Left::Nothing => end.said = Some(said),
    }
}

/// An attempt that failed with its transaction.
fn failed(message: impl AsRef<str>) -> Attempted {
    Outcome::Failed { error: RunError::new(message), after: None }.into()
}

/// The failure of an attempt that returned success while other code still holds its transaction.
pub(crate) fn still_in_use() -> Attempted {
    failed("the handler has ended, but its transaction is still in use: it was not committed")
}

/// The failure of an attempt whose transaction the store did not commit.
pub(crate) fn not_committed(why: &str) -> Attempted {
    failed(format!("the transaction was not committed: {why}"))
}

async fn roll_back(end: &End, transaction: Box<dyn BackendTx>) {
    let shared = &*end.shared;
    let rolled_back = transaction.roll_back(shared.call());
    if let Err(error) = answer(shared.call_deadline(), "roll_back", rolled_back).await {
        // The store rolls back as soon as it notices that nobody is there any more.
        gristmill_core::log!(debug, job = %end.context.id(), error = %format_args!("{error:#}"), "a handler's transaction was left to the store");
    }
}

async fn commit(mut end: End, transaction: Box<dyn BackendTx>, said: Attempted) {
    // No longer a handler that can be stopped: from here on the store decides.
    end.shared.running.leave(key(&end.context));
    let ended = end.ended(said);
    let shared = end.shared.clone();
    let deadline = shared.call_deadline().saturating_add(time_for_bytes(ended.item.bytes()));
    let finish = transaction.finish(shared.call().within(deadline), ended.item.clone());
    match answer(deadline, "commit", finish).await {
        // Whoever has ended the run, it was not this transaction.
        Ok(Finished::AlreadyAccepted) => {
            let lost = Finished::LeaseLost { why: LostWhy::Unknown };
            end.note(&ended, lost);
        }
        Ok(Finished::Busy) => {
            end.said = Some(not_committed(&busy().chain()));
        }
        Ok(finished) => end.note(&ended, finished),
        Err(error) if error.certainty() == Certainty::NotStored => {
            end.said = Some(not_committed(&error.chain()));
        }
        Err(error) => in_doubt(end, &ended, &error).await,
    }
}

fn busy() -> BackendError {
    BackendError::new(BackendErrorKind::Busy, "another transaction has locked what the end of the run needs")
}

/// Ends the run as failed, unless the commit was there first.
async fn in_doubt(end: End, committed: &Ended, error: &BackendError) {
    gristmill_core::log!(
        warn,
        name: "commit_in_doubt", target: "gristmill::job", job = %committed.item.lease.job, error = %format_args!("{error:#}"),
        "the answer to the commit of a handler's transaction was lost; the store is asked"
    );
    let message = format!("it is unknown whether the transaction committed: {}", error.chain());
    let instead = end.ended(failed(message));
    let shared = end.shared.clone();
    let mut trouble = Trouble::new("finish");
    let (mut tries, mut is_repeated) = (0, false);
    loop {
        let answered = finish(&shared, instead.item.clone()).await;
        if answered.is_ok() {
            trouble.over();
        }
        let error = match answered {
            Ok(Finished::AlreadyAccepted) => {
                // After a lost answer to this end it may itself be what the store has accepted.
                let has_committed = !is_repeated || has_completed(&shared, &instead.item.lease).await;
                let ended = if has_committed { committed } else { &instead };
                return end.note(ended, Finished::AlreadyAccepted);
            }
            Ok(finished) => return end.note(&instead, finished),
            Err(error) => error,
        };
        is_repeated |= error.certainty() == Certainty::MaybeStored;
        tries += u32::from(!is_outage(&error));
        if tries >= TRIES {
            trouble.passed_on();
            return end.hand_over(instead);
        }
        tokio::time::sleep(trouble.failed(&error)).await;
    }
}

async fn finish(shared: &Shared, item: FinishItem) -> Result<Finished, BackendError> {
    match finish_alone(&**shared.backend(), shared.call_deadline(), item).await? {
        Finished::Busy => Err(busy()),
        finished @ (Finished::Accepted { .. } | Finished::AlreadyAccepted | Finished::LeaseLost { .. }) => {
            Ok(finished)
        }
    }
}

/// Whether the store has this run as completed. When it does not say, no: the job's record tells in any case.
async fn has_completed(shared: &Shared, lease: &Lease) -> bool {
    let runs = shared.backend().list_runs(shared.call(), lease.job, LATEST_RUNS);
    match answer(shared.call_deadline(), "list_runs", runs).await {
        Ok(runs) => runs.iter().any(|run| run.run == lease.run && run.ending == Ending::Completed),
        Err(error) => {
            gristmill_core::log!(warn, job = %lease.job, error = %format_args!("{error:#}"), "how a run ended could not be learnt");
            false
        }
    }
}

impl End {
    /// What the store is told of the run.
    fn ended(&self, said: Attempted) -> Ended {
        Ended::of(self.lane, &self.context, said, self.kind.route.delay.as_ref())
    }

    /// The store has answered to this end.
    fn note(mut self, ended: &Ended, finished: Finished) {
        settled::note(&self.shared, std::slice::from_ref(ended), &[Some(finished)]);
        self.is_stored = true;
    }

    /// Leaves this end to the completer.
    fn hand_over(mut self, ended: Ended) {
        self.shared.finishes.push_all(vec![ended]);
        self.is_stored = true;
    }
}
