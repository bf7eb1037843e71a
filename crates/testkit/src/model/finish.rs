//! The model's ends of runs.

use gristmill_core::{
    ClaimId, FinishItem, Finished, JobId, JobState, Lease, LostWhy, Output, RunError, RunRecord, Timestamp,
    WorkerId,
};

use super::settle::Settled;
use super::state::{By, Model, Run, Why};

/// What a worker says of a run that ended.
#[derive(Debug, Default)]
pub(super) struct Said {
    output: Option<Output>,
    error: Option<RunError>,
    reason: Option<String>,
    started_at: Option<Timestamp>,
}

impl Model {
    /// Whether a lease holds now.
    pub(super) fn holds(&self, lease: &Lease) -> bool {
        let held = self.jobs.get(&lease.job).and_then(|job| job.held.as_ref());
        held.is_some_and(|held| held.lease.run == lease.run && held.lease.token == lease.token)
    }

    /// Ends a run if its lease holds, and gives the answers the contract allows.
    pub(super) fn finish(&mut self, item: FinishItem, now: Timestamp) -> Vec<Finished> {
        let FinishItem { lease, decision, ending, output, error, reason, started_at, effects, .. } = item;
        if !self.holds(&lease) {
            return self.refuse(&lease);
        }
        let settled = self.jobs[&lease.job].finished(decision, ending, now);
        let state = settled.state;
        self.end(lease.job, settled, Said { output, error, reason, started_at }, now);
        self.accepted.push((lease.job, lease.run, lease.token));
        for effect in effects {
            self.enqueue(effect, now);
        }
        vec![Finished::Accepted { state }]
    }

    fn refuse(&self, lease: &Lease) -> Vec<Finished> {
        let unknown = Finished::LeaseLost { why: LostWhy::Unknown };
        let Some(job) = self.jobs.get(&lease.job) else {
            // The job is gone; a store may or may not remember the run.
            let accepted = self.accepted.contains(&(lease.job, lease.run, lease.token));
            return if accepted { vec![unknown, Finished::AlreadyAccepted] } else { vec![unknown] };
        };
        let ended = job.runs.iter().find(|run| run.record.run == lease.run && run.token == lease.token);
        let answer = match ended.map(|run| run.by) {
            Some(By::Worker) => Finished::AlreadyAccepted,
            Some(By::Rescue) => Finished::LeaseLost { why: LostWhy::Rescued },
            Some(By::GiveBack) => Finished::LeaseLost { why: LostWhy::GivenBack },
            None => unknown,
        };
        // Whether the record of an old run is there still is the store's affair.
        if RunRecord::is_kept(lease.run, job.run) { vec![answer] } else { vec![answer, unknown] }
    }

    /// A finish was refused because its lease is lost.
    pub(super) fn note_stale(&mut self, id: JobId, now: Timestamp) {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.events.push((now, "stale finish", None));
        }
    }

    /// Gives back, refunded, what a worker runs under these claims.
    pub(super) fn give_back(&mut self, worker: WorkerId, claims: &[ClaimId], now: Timestamp) {
        let running = self.running(worker).filter(|(_, held)| claims.contains(&held.lease.claim));
        let ids: Vec<JobId> = running.map(|(job, _)| job.id).collect();
        for id in ids {
            let settled = self.jobs[&id].given_back();
            self.end(id, settled, Said::default(), now);
        }
    }

    /// The one way a run ends.
    pub(super) fn end(&mut self, id: JobId, settled: Settled, said: Said, now: Timestamp) {
        let job = self.job(id);
        let held = job.held.take().expect("only a running job's run ends");
        let reason = settled.reason.map(str::to_owned).or(said.reason);
        let mut record = RunRecord::new(
            job.run,
            job.attempt,
            settled.ending,
            settled.state,
            held.worker,
            held.fetched_at,
            now,
        );
        record.reason.clone_from(&reason);
        record.error = said.error;
        record.started_at = said.started_at;
        record.log = std::mem::take(&mut job.log);
        job.runs.push(Run { record, token: held.lease.token, by: settled.by });
        job.is_parked = settled.is_parked;
        job.state = settled.state;
        job.attempt = settled.attempt;
        job.crashes = settled.crashes;
        job.due = settled.due;
        job.cancel_requested = false;
        job.reason = Why::Said(reason);
        job.output = said.output.filter(|_| settled.state == JobState::Completed);
        if settled.state.is_terminal() {
            job.finished_at = Some(now);
            self.forget_unless_kept(id);
        }
    }
}
