//! What is kept of an end that the store refuses: the outcome first.
//!
//! Words go before anything else, whatever the store's objection is: they are cut, then the output is
//! replaced by a note, then both are left out. None of that changes what becomes of the job. Follow-up jobs
//! that cannot be stored are a refusal of the attempt, which then fails; a cancelled or discarded job stays
//! one without them.
//!
//! The completer does this for a worker's ends, [`store_alone`] for one that is stored by itself. A handler's
//! own transaction ends with the first refusal, so its commit cannot be repeated with less: the attempt
//! fails, and the completer stores that.

use std::time::Duration;

use gristmill_core::{
    Backend, BackendError, BackendErrorKind, Call, Decision, Ending, FinishItem, FinishRequest, Finished,
    JobId, Output, RunError, time_for_bytes,
};

use crate::call::answer;
use crate::run_result::{Kept, RunResult};

/// How long texts are that any store takes.
const SHORT_BYTES: usize = 200;
/// A call the store finds fault with is repeated as it is this often before anything is left out.
pub(crate) const TRIES_BEFORE_LESS: u32 = 2;
/// The wait before such a repeat.
const PAUSE: Duration = Duration::from_millis(50);

impl RunResult {
    /// Leaves the next part out, and says which; `None` when there is none. `why` is the store's objection.
    pub(crate) fn lessen(&mut self, why: &str) -> Option<&'static str> {
        let why = short(why);
        loop {
            let (next, left_out) = match self.kept {
                Kept::All => (Kept::ShortWords, shorten_words(&mut self.item).then_some("long words")),
                Kept::ShortWords => {
                    (Kept::NoOutput, replace_output(&mut self.item, &why).then_some("output"))
                }
                Kept::NoOutput => (Kept::NoWords, leave_words(&mut self.item).then_some("all words")),
                Kept::NoWords => (Kept::NoEffects, self.leave_effects(&why).then_some("follow-up jobs")),
                Kept::NoEffects => (Kept::Least, self.fail_instead(&why).then_some("success")),
                Kept::Least => return None,
            };
            self.kept = next;
            if left_out.is_some() {
                return left_out;
            }
        }
    }

    fn leave_effects(&mut self, why: &str) -> bool {
        let count = std::mem::take(&mut self.item.effects).len();
        if count == 0 {
            return false;
        }
        let message = format!("the store refused the {count} follow-up jobs: {why}");
        match self.item.decision {
            Decision::Complete => self.fail(&message),
            Decision::RetryAfter(_)
            | Decision::SnoozeAfter(_)
            | Decision::Cancel
            | Decision::Discard
            | Decision::GiveBackAfter(_) => self.item.reason = Some(message),
        }
        true
    }

    /// A success that cannot be stored even without words is tried again.
    fn fail_instead(&mut self, why: &str) -> bool {
        let completes = self.item.decision == Decision::Complete;
        if completes {
            self.fail(&format!("the store refused the end of the run: {why}"));
        }
        completes
    }

    fn fail(&mut self, message: &str) {
        let delay = self.spec.retry_policy().delay(self.attempt, fastrand::f64());
        self.item.decision = Decision::RetryAfter(delay.max(Decision::SHORTEST_DELAY));
        self.item.ending = Ending::Failed;
        self.item.output = None;
        self.item.error = Some(RunError::new(message));
    }
}

/// Stores one end by itself, with less of it as long as the store refuses it for what it is.
///
/// # Errors
/// The store's: of an outage at once, of a refusal when nothing is left to leave out.
pub(crate) async fn store_alone(
    backend: &dyn Backend,
    deadline: Duration,
    ended: &mut RunResult,
) -> Result<Finished, BackendError> {
    let mut tries = 0;
    loop {
        let error = match finish_alone(backend, deadline, ended.item.clone()).await {
            Err(error) if may_be_an_item(&error) => error,
            answered => return answered,
        };
        tries += 1;
        if tries <= TRIES_BEFORE_LESS {
            tokio::time::sleep(PAUSE).await;
        } else if let Some(left_out) = ended.lessen(&error.chain()) {
            say_lessened(ended.item.lease.job, left_out, &error);
        } else {
            return Err(error);
        }
    }
}

/// One finish of one item.
pub(crate) async fn finish_alone(
    backend: &dyn Backend,
    deadline: Duration,
    item: FinishItem,
) -> Result<Finished, BackendError> {
    let deadline = deadline.saturating_add(time_for_bytes(item.bytes()));
    let call = backend.finish(Call::new().within(deadline), FinishRequest::new(vec![item]));
    answer(deadline, "finish", call).await?.items.into_iter().next().ok_or_else(|| {
        BackendError::new(BackendErrorKind::Internal, "`finish` answered nothing").maybe_stored()
    })
}

/// Whether the error may be due to one item rather than to the store.
pub(crate) fn may_be_an_item(error: &BackendError) -> bool {
    matches!(
        error.kind(),
        BackendErrorKind::Internal
            | BackendErrorKind::Refused
            | BackendErrorKind::Undecodable
            | BackendErrorKind::Unsupported(_)
    )
}

pub(crate) fn say_lessened(job: JobId, left_out: &str, error: &BackendError) {
    gristmill_core::log!(
        error,
        name: "finish_lessened", target: "gristmill::worker",
        job = %job, left_out, error = %error.chain(),
        "the store refuses the end of a run: it is stored without a part"
    );
}

fn shorten_words(item: &mut FinishItem) -> bool {
    let mut changed = false;
    if let Some(error) = &mut item.error {
        let shorter = RunError::new(short(&error.message));
        changed |= shorter != *error;
        *error = shorter;
    }
    if let Some(reason) = &mut item.reason {
        let shorter = short(reason);
        changed |= shorter != *reason;
        *reason = shorter;
    }
    changed
}

fn replace_output(item: &mut FinishItem, why: &str) -> bool {
    let has_output = item.output.is_some();
    if has_output {
        let note = serde_json::json!({ "gristmill_output_error": why });
        item.output = Some(Output::from_json(note.to_string()));
    }
    has_output
}

fn leave_words(item: &mut FinishItem) -> bool {
    let had_some = item.error.take().is_some() | item.reason.take().is_some();
    item.output.take().is_some() | had_some
}

/// The beginning of a text, in characters that every encoding has.
fn short(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    text.chars().take(SHORT_BYTES).map(plain).collect()
}
