//! The one way a run or a job ends.

use std::cmp::Reverse;

use gristmill_core::{
    End, Hint, JobEvent, Output, RunEnd, RunError, RunFacts, RunRecord, Stay, Timestamp, Why,
};

use crate::job::{EndedRun, Held, Words};
use crate::store::Store;

/// What comes with an end besides its consequences: what a worker says of its run, or the operator's name.
#[derive(Debug, Default)]
pub(crate) struct Said<'a> {
    pub(crate) output: Option<Output>,
    pub(crate) error: Option<RunError>,
    pub(crate) reason: Option<String>,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) actor: Option<&'a str>,
}

impl Store {
    /// What the end of a running job's run depends on.
    pub(crate) fn facts(&self, slot: usize) -> RunFacts<'_> {
        let job = self.job(slot);
        RunFacts {
            attempt: job.attempt,
            crashes: job.crashes,
            max_attempts: job.spec.max_attempts.get(),
            cancel_requested: job.cancel_requested,
            is_last_run: job.run == u32::MAX,
            run_at: job.run_at,
            retention: job.spec.retention.as_deref(),
        }
    }

    /// Ends a run or a job: the run's record, its place in the claim, the job's move.
    pub(crate) fn end(&mut self, slot: usize, end: End, said: Said<'_>, now: Timestamp) {
        let End { run, state, stay, attempt, crashes, reason, keeps_output, frees_key, event, hints_end } =
            end;
        let Said { output, error, reason: sent, started_at, actor } = said;
        let reason = match reason {
            Why::Sent => sent,
            Why::Store(reason) => Some(reason.as_str().to_owned()),
        };
        let ended_by = if let Some(run) = run {
            let Some(held) = self.job_mut(slot).lease.take() else { return };
            self.close_member(&held);
            Some((run, held))
        } else {
            None
        };
        let id = self.job(slot).id;
        if frees_key {
            self.free_unique(slot);
        }
        if hints_end && self.watch_ends {
            self.hints.push(Hint::Ended(id));
        }
        if stay == Stay::Erased {
            self.remove(slot);
            return;
        }
        if let Some((RunEnd { ending, by }, held)) = ended_by {
            let job = self.job_mut(slot);
            let log = match &mut job.notes {
                Some(notes) => std::mem::take(&mut notes.log).into_values().collect(),
                None => Vec::new(),
            };
            let words = Words { reason: reason.clone(), error, log };
            let words = (words != Words::default()).then(|| Box::new(words));
            let (run, attempt, finished_at) = (job.run, job.attempt, now);
            job.runs.push(EndedRun { run, attempt, ending, state, by, held, started_at, finished_at, words });
            if let Some(trimmed) = RunRecord::trimmed_at(run) {
                job.runs.retain(|ended| !trimmed.contains(&ended.run));
            }
        }
        self.move_to(slot, state, |job| {
            job.attempt = attempt;
            job.crashes = crashes;
            job.cancel_requested = false;
            job.reason = reason.map(String::into_boxed_str);
            job.output = output.filter(|_| keeps_output).map(Box::new);
            match stay {
                Stay::Due(due) => job.run_at = due,
                Stay::Parked => job.is_parked = true,
                Stay::Kept { .. } => job.finished_at = Some(now),
                Stay::Erased => {}
            }
        });
        if let Stay::Kept { until } = stay {
            self.ended.push(Reverse((until, id)));
        }
        if let Some(verb) = event {
            let event = JobEvent::new(now, verb.as_str(), actor.map(str::to_owned), None);
            self.job_mut(slot).add_event(event);
        }
    }

    /// A claim goes when the last of its runs has ended.
    fn close_member(&mut self, held: &Held) {
        let Some(worker) = self.workers.get_mut(&held.worker) else { return };
        let Some(claim) = worker.claims.get_mut(&held.claim) else { return };
        claim.open -= 1;
        if claim.open == 0 {
            worker.claims.remove(&held.claim);
        }
    }
}
