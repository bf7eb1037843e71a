//! What follows from the store's answers: numbers, log lines, events, due times.

use std::sync::Arc;

use gristmill_core::{Decision, Ending, Event, EventKind, Finished, JobState};

use crate::claims::Claims;
use crate::hooks::Hooks;
use crate::report::Counters;
use crate::run_result::RunResult;
use crate::worker::maintenance::due::Due;
use crate::worker::store::Store;

/// Notes the store's answers: what it uses of a worker.
#[derive(Debug, Clone)]
pub(crate) struct Answers {
    pub(crate) store: Store,
    pub(crate) claims: Arc<Claims>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) due: Arc<Due>,
    pub(crate) hooks: Hooks,
}

impl Answers {
    /// Notes the answers to a batch, in its order; `None` is an end that was refused for good.
    pub(crate) fn note(&self, batch: &[RunResult], answers: &[Option<Finished>]) {
        // First of all: what follows runs code of the program.
        self.claims.closed(batch.iter().map(|ended| ended.item.lease.claim));
        let mut tally = Tally::of(&self.counters);
        for (ended, answer) in batch.iter().zip(answers) {
            let what = match answer {
                Some(Finished::Accepted { state }) => What::of(ended, Some(*state)),
                Some(Finished::LeaseLost { .. }) => What::Lost,
                // A repeat after a lost reply.
                Some(Finished::AlreadyAccepted) => What::of(ended, None),
                // `Finishes` has taken the busy ones out, to repeat them.
                Some(Finished::Busy) | None => What::Refused,
            };
            tally.add(what);
            if what != What::Completed {
                self.wait_for(ended, what);
                log(ended, what);
            }
            if !self.hooks.is_empty() {
                self.notify(ended, what);
            }
        }
    }

    /// A run the store will have due again soon: the promoter need not find out by looking.
    fn wait_for(&self, ended: &RunResult, what: What) {
        let ((What::Failed, Decision::RetryAfter(after))
        | (What::Snoozed, Decision::SnoozeAfter(after))
        | (What::Released, Decision::GiveBackAfter(after))) = (what, ended.item.decision)
        else {
            return;
        };
        if !after.is_zero() {
            self.due.at(self.store.store_now() + after);
        }
    }

    /// Notifies the hooks.
    fn notify(&self, ended: &RunResult, what: What) {
        let Some(kind) = what.event() else { return };
        let mut event = Event::new(kind, ended.item.lease.job);
        event.job_kind = Some(ended.spec.kind.clone());
        event.queue = Some(ended.spec.queue.clone());
        event.attempt = Some(ended.attempt);
        event.reason = reason(ended).map(str::to_owned);
        self.hooks.emit(&event);
    }
}

/// What became of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Completed,
    Failed,
    Discarded,
    Cancelled,
    Snoozed,
    Released,
    Lost,
    Refused,
}

impl What {
    /// By the state in the store's answer, or else by the decision that was sent.
    fn of(ended: &RunResult, state: Option<JobState>) -> Self {
        let asked = match ended.item.decision {
            Decision::Complete => Self::Completed,
            Decision::Discard => Self::Discarded,
            Decision::Cancel => Self::Cancelled,
            Decision::SnoozeAfter(_) => Self::Snoozed,
            Decision::GiveBackAfter(_) => Self::Released,
            Decision::RetryAfter(_) => Self::Failed,
        };
        match state {
            Some(JobState::Completed) => Self::Completed,
            Some(JobState::Discarded) => Self::Discarded,
            Some(JobState::Cancelled) => Self::Cancelled,
            None
            | Some(
                JobState::Suspended
                | JobState::Scheduled
                | JobState::Available
                | JobState::Running
                | JobState::Retryable,
            ) => asked,
        }
    }

    fn event(self) -> Option<EventKind> {
        Some(match self {
            Self::Completed => EventKind::Completed,
            Self::Failed => EventKind::Failed,
            Self::Discarded => EventKind::Discarded,
            Self::Cancelled => EventKind::Cancelled,
            Self::Snoozed => EventKind::Snoozed,
            Self::Lost => EventKind::LeaseLost,
            Self::Released | Self::Refused => return None,
        })
    }
}

/// Adds up equal neighbours: most batches change one counter once.
struct Tally<'a> {
    counters: &'a Counters,
    latest: What,
    count: u64,
}

impl<'a> Tally<'a> {
    fn of(counters: &'a Counters) -> Self {
        Self { counters, latest: What::Completed, count: 0 }
    }

    fn add(&mut self, what: What) {
        if what != self.latest {
            self.write();
            self.latest = what;
        }
        self.count += 1;
    }

    fn write(&mut self) {
        let counters = self.counters;
        let counter = match self.latest {
            What::Completed => &counters.completed,
            What::Failed => &counters.failed,
            What::Discarded => &counters.discarded,
            What::Cancelled => &counters.cancelled,
            What::Snoozed => &counters.snoozed,
            What::Released => &counters.released,
            What::Lost => &counters.stale_finishes,
            What::Refused => &counters.refused_finishes,
        };
        counter.add(std::mem::take(&mut self.count));
    }
}

impl Drop for Tally<'_> {
    fn drop(&mut self) {
        self.write();
    }
}

fn reason(ended: &RunResult) -> Option<&str> {
    let item = &ended.item;
    item.reason.as_deref().or(item.error.as_ref().map(|error| error.message.as_str()))
}

/// One line for what an operator may have to look into. Names and the error's own words, never args.
macro_rules! line {
    ($level:ident, $name:literal, $ended:ident, $text:literal) => {
        gristmill_core::log!(
            $level,
            name: $name, target: "gristmill::job",
            job = %$ended.item.lease.job, kind = %$ended.spec.kind, queue = %$ended.spec.queue,
            attempt = $ended.attempt, run = $ended.item.lease.run, ending = %$ended.item.ending,
            reason = reason($ended), $text
        )
    };
}

fn log(ended: &RunResult, what: What) {
    match what {
        What::Failed => line!(warn, "job_failed", ended, "an attempt failed"),
        What::Discarded => line!(error, "job_discarded", ended, "a job is discarded"),
        What::Lost => line!(warn, "lease_lost", ended, "a run ended after its lease had passed on"),
        What::Refused => line!(error, "finish_refused", ended, "the end of a run could not be stored"),
        What::Cancelled => line!(info, "job_cancelled", ended, "a job is cancelled"),
        What::Released if ended.item.ending == Ending::UnknownKind => {
            line!(debug, "job_without_handler", ended, "a job waits for a handler");
        }
        What::Snoozed | What::Released => line!(debug, "job_put_back", ended, "a job is put back"),
        What::Completed => {}
    }
}
