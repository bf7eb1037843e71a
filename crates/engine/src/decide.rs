//! The end of a run, from what its attempt came to.

use std::time::Duration;

use gristmill_core::{Decision, Ending, FinishItem, Outcome, RunError, format_duration};

use crate::cancel::StopWhy;
use crate::handler::route::RetryDelay;
use crate::run_result::RunResult;
use crate::{Attempted, JobContext};

/// What an attempt came to whose timeout passed; `said` is what its handler said afterwards.
pub(crate) fn timed_out(timeout: Duration, said: Option<Attempted>) -> Attempted {
    let mut message = format!("timed out after {}", format_duration(timeout));
    let mut delay = None;
    if let Some(Outcome::Failed { error, after }) = said.map(|attempted| attempted.outcome) {
        message = format!("{message}: {}", error.message);
        delay = after;
    }
    let outcome = Outcome::Failed { error: RunError::new(message), after: delay };
    Attempted { outcome, ending: Ending::Timeout }
}

impl RunResult {
    /// What the handler's outcome means for the store.
    ///
    /// An attempt that failed after the worker signalled it to stop is given back: it failed because of that.
    /// The delay of the next attempt comes from the error, else from the user's own `delay`, else from the
    /// job's policy.
    pub(crate) fn of(
        lane: usize,
        context: &JobContext,
        attempted: Attempted,
        delay: Option<&RetryDelay>,
    ) -> Self {
        let attempt = context.attempt_state();
        let Attempted { outcome, ending } = attempted;
        let stopped = matches!(attempt.cancel.why(), Some(StopWhy::Shutdown | StopWhy::LeaseLost));
        if stopped && ending == Ending::Failed {
            return Self::started_run(
                lane,
                context,
                Decision::GiveBackAfter(Duration::ZERO),
                Ending::Released,
            );
        }
        let number = attempt.job.attempt;
        let decision = outcome.decide(|| {
            let own = match &outcome {
                Outcome::Failed { error, .. } => delay.and_then(|delay| delay.after(number, error)),
                _ => None,
            };
            own.unwrap_or_else(|| attempt.job.spec.retry_policy().delay(number, fastrand::f64()))
        });
        let mut ended = Self::started_run(lane, context, decision, ending);
        let item = &mut ended.item;
        // A failed or deferred attempt leaves nothing behind: its next run would enqueue the same jobs again.
        if !matches!(outcome, Outcome::Failed { .. } | Outcome::Deferred { .. }) {
            item.effects = context.take_effects();
        }
        match outcome {
            Outcome::Completed { output } => item.output = output,
            Outcome::Failed { error, .. } => item.error = Some(error),
            Outcome::Cancelled { reason } | Outcome::Deferred { reason, .. } => item.reason = Some(reason),
            Outcome::Discarded { reason } => {
                item.error = Some(RunError::new(&reason));
                item.reason = Some(reason);
            }
            Outcome::Snoozed { .. } => {}
        }
        ended
    }

    /// The end of a run whose code was started, without anything its handler said.
    fn started_run(lane: usize, context: &JobContext, decision: Decision, ending: Ending) -> Self {
        let attempt = context.attempt_state();
        let mut item = FinishItem::new(attempt.job.lease.clone(), decision, ending);
        item.started_at = Some(attempt.started_at);
        Self::new(lane, item, attempt.job.spec.clone(), attempt.job.attempt)
    }

    /// The end of a run that is given back.
    pub(crate) fn released(context: &JobContext) -> Self {
        Self::started_run(0, context, Decision::GiveBackAfter(Duration::ZERO), Ending::Released)
    }

    /// The end of an attempt whose code was dropped.
    pub(crate) fn dropped(
        lane: usize,
        context: &JobContext,
        timeout: Option<Duration>,
        delay: Option<&RetryDelay>,
    ) -> Self {
        match context.attempt_state().cancel.why() {
            Some(StopWhy::Timeout) => {
                Self::of(lane, context, timed_out(timeout.unwrap_or_default(), None), delay)
            }
            Some(StopWhy::Cancelled) => {
                let mut ended = Self::started_run(lane, context, Decision::Cancel, Ending::Cancelled);
                ended.item.reason = Some("cancelled while it ran".to_owned());
                ended
            }
            Some(StopWhy::Shutdown | StopWhy::LeaseLost) | None => {
                Self::started_run(lane, context, Decision::GiveBackAfter(Duration::ZERO), Ending::Released)
            }
        }
    }
}
