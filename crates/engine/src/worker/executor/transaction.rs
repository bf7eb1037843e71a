//! The end of an attempt whose handler had a transaction.
//!
//! A success is stored by the transaction's own commit, everything else is rolled back first and ends in the
//! ordinary way. A commit whose answer is lost is followed by an ordinary end of the run as failed: the store
//! accepts one of the two, and its answer says which. So a job is neither completed without its handler's
//! writes nor tried again after them.

use gristmill_core::{
    BackendError, BackendErrorKind, BackendTx, Certainty, Ending, FinishItem, Finished, Lease, LostWhy,
    Outcome, RunError, time_for_bytes,
};

use crate::call::{Trouble, answer, is_outage};
use crate::handler::route::RetryDelay;
use crate::lessen::finish_alone;
use crate::run_result::RunResult;
use crate::worker::completer::answers::Answers;
use crate::worker::completer::finishes::Finishes;
use crate::worker::store::Store;
use crate::{Attempted, JobContext};

/// A call that fails without an outage is repeated this often. Then the completer gets the result: it can
/// store less of it.
const TRIES: u32 = 5;
/// How many runs of a job are looked at to find one.
const LATEST_RUNS: usize = 100;

/// The run of an attempt whose transaction is to be committed.
pub(crate) struct Closing<'a> {
    pub(crate) answers: &'a Answers,
    pub(crate) finishes: &'a Finishes,
    pub(crate) lane: usize,
    pub(crate) context: &'a JobContext,
    pub(crate) delay: Option<&'a RetryDelay>,
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

pub(crate) async fn roll_back(store: &Store, context: &JobContext, transaction: Box<dyn BackendTx>) {
    let rolled_back = transaction.roll_back(store.call());
    if let Err(error) = answer(store.deadline(), "roll_back", rolled_back).await {
        // The store rolls back as soon as it notices that the connection is gone.
        gristmill_core::log!(debug, job = %context.id(), error = %format_args!("{error:#}"), "a handler's transaction was left to the store");
    }
}

impl Closing<'_> {
    /// Ends the run with the transaction's commit. Returns `None` when the store or the completer has the
    /// end, else what the attempt came to instead.
    pub(crate) async fn commit(&self, transaction: Box<dyn BackendTx>, said: Attempted) -> Option<Attempted> {
        let store = &self.answers.store;
        let ended = self.ended(said);
        let deadline = store.deadline().saturating_add(time_for_bytes(ended.item.bytes()));
        let finish = transaction.finish(store.call().within(deadline), ended.item.clone());
        match answer(deadline, "commit", finish).await {
            // The run has ended, but not by this transaction.
            Ok(Finished::AlreadyAccepted) => {
                self.note(&ended, Finished::LeaseLost { why: LostWhy::Unknown });
            }
            Ok(Finished::Busy) => return Some(not_committed(&busy().chain())),
            Ok(finished) => self.note(&ended, finished),
            Err(error) if error.certainty() == Certainty::NotStored => {
                return Some(not_committed(&error.chain()));
            }
            Err(error) => self.in_doubt(&ended, &error).await,
        }
        None
    }

    /// Ends the run as failed, unless the commit was there first.
    async fn in_doubt(&self, committed: &RunResult, error: &BackendError) {
        gristmill_core::log!(
            warn,
            name: "commit_in_doubt", target: "gristmill::job", job = %committed.item.lease.job, error = %format_args!("{error:#}"),
            "the answer to the commit of a handler's transaction was lost: looking for the run in the store"
        );
        let message = format!("it is unknown whether the transaction committed: {}", error.chain());
        let instead = self.ended(failed(message));
        let store = &self.answers.store;
        let mut trouble = Trouble::new("finish");
        let (mut tries, mut is_repeated) = (0, false);
        loop {
            let answered = finish(store, instead.item.clone()).await;
            if answered.is_ok() {
                trouble.over();
            }
            let error = match answered {
                Ok(Finished::AlreadyAccepted) => {
                    // After a lost answer to this end it may itself be what the store has accepted.
                    let has_committed = !is_repeated || has_completed(store, &instead.item.lease).await;
                    let ended = if has_committed { committed } else { &instead };
                    return self.note(ended, Finished::AlreadyAccepted);
                }
                Ok(finished) => return self.note(&instead, finished),
                Err(error) => error,
            };
            is_repeated |= error.certainty() == Certainty::MaybeStored;
            tries += u32::from(!is_outage(&error));
            if tries >= TRIES {
                trouble.passed_on();
                return self.finishes.push_all(vec![instead]);
            }
            tokio::time::sleep(trouble.failed(&error)).await;
        }
    }

    /// The end of the run.
    fn ended(&self, said: Attempted) -> RunResult {
        RunResult::of(self.lane, self.context, said, self.delay)
    }

    /// The store has replied to this end.
    fn note(&self, ended: &RunResult, finished: Finished) {
        self.answers.note(std::slice::from_ref(ended), &[Some(finished)]);
    }
}

fn busy() -> BackendError {
    BackendError::new(BackendErrorKind::Busy, "another transaction has locked what the end of the run needs")
}

async fn finish(store: &Store, item: FinishItem) -> Result<Finished, BackendError> {
    match finish_alone(&**store.backend(), store.deadline(), item).await? {
        Finished::Busy => Err(busy()),
        finished @ (Finished::Accepted { .. } | Finished::AlreadyAccepted | Finished::LeaseLost { .. }) => {
            Ok(finished)
        }
    }
}

/// Whether the store has this run as completed. Without a reply, no: the job's record shows it in any case.
async fn has_completed(store: &Store, lease: &Lease) -> bool {
    match store.ask("list_runs", |backend, call| backend.list_runs(call, lease.job, LATEST_RUNS)).await {
        Ok(runs) => runs.iter().any(|run| run.run == lease.run && run.ending == Ending::Completed),
        Err(error) => {
            gristmill_core::log!(warn, job = %lease.job, error = %format_args!("{error:#}"), "how a run ended could not be learnt");
            false
        }
    }
}
