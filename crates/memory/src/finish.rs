//! Ends runs, each only if its token holds.

use gristmill_core::{
    BackendError, Ending, FinishItem, FinishReply, FinishRequest, Finished, JobEvent, JobState, Lease,
    LostWhy, Output, RecordRequest, Recorded, RunError, RunFacts, RunRecord, Settlement, Timestamp, settle,
};

use crate::job::{EndedBy, EndedRun, Held, Notes, Words};
use crate::store::Store;

/// What a worker says of a run that ended; nothing where the store ends it.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) output: Option<Output>,
    pub(crate) error: Option<RunError>,
    pub(crate) reason: Option<String>,
    pub(crate) started_at: Option<Timestamp>,
}

impl Store {
    pub(crate) fn finish(
        &mut self,
        request: FinishRequest,
        max_jobs: usize,
        now: Timestamp,
    ) -> Result<FinishReply, BackendError> {
        let mut items = Vec::with_capacity(request.items.len());
        let mut full = None;
        for item in request.items {
            // One whose follow-ups find no room keeps its lease; the others end.
            match self.room_for(&item, max_jobs) {
                Ok(()) => items.push(self.finish_one(item, now)),
                Err(error) => full = Some(error),
            }
        }
        if let Some(error) = full {
            return Err(if items.is_empty() { error } else { error.maybe_stored() });
        }
        Ok(FinishReply::new(items))
    }

    /// Whether the jobs that a run's end would store find room, its own place counted if it is not kept.
    fn room_for(&self, item: &FinishItem, max_jobs: usize) -> Result<(), BackendError> {
        if item.effects.is_empty() {
            return Ok(());
        }
        let Ok(slot) = self.holding(&item.lease) else { return Ok(()) };
        let job = self.job(slot);
        let state = settle(item.decision, item.ending, self.facts(slot)).state;
        let kept = job.spec.retention.as_deref().copied().unwrap_or_default().of(state);
        let frees = usize::from(kept.is_some_and(|kept| kept.is_zero()));
        self.check_room(&item.effects, state.is_terminal().then_some(item.lease.job), frees, max_jobs)
    }

    fn finish_one(&mut self, item: FinishItem, now: Timestamp) -> Finished {
        let slot = match self.holding(&item.lease) {
            Ok(slot) => slot,
            Err(answer) => return self.refuse(&item, answer, now),
        };
        let settled = settle(item.decision, item.ending, self.facts(slot));
        let FinishItem { output, error, reason, started_at, effects, .. } = item;
        self.end_run(slot, settled, EndedBy::Worker, Said { output, error, reason, started_at }, now);
        for effect in effects {
            // A duplicate effect is not stored and does not spoil the finish.
            self.enqueue_one(effect, now);
        }
        Finished::Accepted { state: settled.state }
    }

    /// The slot of the job this lease holds now, or what to answer instead.
    fn holding(&self, lease: &Lease) -> Result<usize, Finished> {
        let lost = |why| Finished::LeaseLost { why };
        let slot = self.slot_of(lease).ok_or(lost(LostWhy::Unknown))?;
        let job = self.job(slot);
        if job.run == lease.run && job.lease.as_ref().is_some_and(|held| held.token == lease.token) {
            return Ok(slot);
        }
        let ended = job.runs.iter().rev().find(|run| run.run == lease.run && run.held.token == lease.token);
        Err(match ended.map(|run| run.by) {
            Some(EndedBy::Worker) => Finished::AlreadyAccepted,
            Some(EndedBy::Rescue) => lost(LostWhy::Rescued),
            Some(EndedBy::GiveBack) => lost(LostWhy::GivenBack),
            None => lost(LostWhy::Unknown),
        })
    }

    fn slot_of(&self, lease: &Lease) -> Option<usize> {
        let placed = usize::try_from(lease.place.0).ok().filter(|slot| {
            self.jobs.get(*slot).and_then(Option::as_ref).is_some_and(|job| job.id == lease.job)
        });
        placed.or_else(|| self.by_id.get(&lease.job).copied())
    }

    fn refuse(&mut self, item: &FinishItem, answer: Finished, now: Timestamp) -> Finished {
        if let Finished::LeaseLost { .. } = answer {
            self.stale_finishes += 1;
            if let Some(&slot) = self.by_id.get(&item.lease.job) {
                let detail = format!("run {}, {}", item.lease.run, item.ending);
                self.job_mut(slot).add_event(JobEvent::new(now, "stale finish", None, Some(detail)));
            }
        }
        answer
    }

    pub(crate) fn facts(&self, slot: usize) -> RunFacts {
        let job = self.job(slot);
        RunFacts {
            attempt: job.attempt,
            crashes: job.crashes,
            max_attempts: job.spec.max_attempts.get(),
            cancel_requested: job.cancel_requested,
        }
    }

    /// The one way a run ends: its record, its place in the claim, the job's move.
    pub(crate) fn end_run(
        &mut self,
        slot: usize,
        settled: Settlement,
        by: EndedBy,
        said: Said,
        now: Timestamp,
    ) {
        let Some(held) = self.job_mut(slot).lease.take() else { return };
        self.close_member(&held);
        let Said { output, error, reason, started_at } = said;
        let reason = settled.reason.map(|reason| reason.as_str().to_owned()).or(reason);
        let job = self.job_mut(slot);
        let log = match &mut job.notes {
            Some(notes) => std::mem::take(&mut notes.log).into_values().collect(),
            None => Vec::new(),
        };
        let words = Words { reason: reason.clone(), error, log };
        job.runs.push(EndedRun {
            run: job.run,
            attempt: job.attempt,
            ending: settled.ending,
            state: settled.state,
            by,
            held,
            started_at,
            finished_at: now,
            words: (words != Words::default()).then(|| Box::new(words)),
        });
        if let Some(trimmed) = RunRecord::trimmed_at(job.run) {
            job.runs.retain(|ended| !trimmed.contains(&ended.run));
        }
        self.move_to(slot, settled.state, |job| {
            job.attempt = settled.attempt;
            job.crashes = settled.crashes;
            job.cancel_requested = false;
            job.is_parked = settled.is_parked();
            job.run_at = settled.due(now, job.run_at);
            job.reason = reason.map(String::into_boxed_str);
            job.output = output.filter(|_| settled.ending == Ending::Completed).map(Box::new);
            job.finished_at = settled.state.is_terminal().then_some(now);
        });
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

    pub(crate) fn record(&mut self, request: RecordRequest) -> Recorded {
        let Ok(slot) = self.holding(&request.lease) else { return Recorded::LeaseLost };
        debug_assert_eq!(self.job(slot).state, JobState::Running, "a held lease runs");
        let Notes { progress, checkpoint, log, .. } = self.job_mut(slot).notes();
        *progress = request.progress.map(|percent| percent.min(100)).or(*progress);
        for (number, line) in request.numbered() {
            log.entry(number).or_insert_with(|| line.clone());
        }
        let newest = log.last_key_value().map_or(0, |(number, _)| *number);
        *log = log.split_off(RecordRequest::kept_lines(newest).start());
        if let Some(bytes) = request.checkpoint.filter(|it| it.len() <= RecordRequest::MAX_CHECKPOINT_BYTES) {
            *checkpoint = Some(bytes);
        }
        Recorded::Accepted
    }
}
