//! Ends runs, each only if its token holds.

use gristmill_core::{
    BackendError, End, FinishItem, FinishReply, FinishRequest, Finished, JobEvent, JobState, Lease, LostWhy,
    RecordRequest, Recorded, Stay, Timestamp,
};

use crate::end::Said;
use crate::job::Notes;
use crate::store::Store;

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
            match self.room_for(&item, max_jobs, now) {
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
    fn room_for(&self, item: &FinishItem, max_jobs: usize, now: Timestamp) -> Result<(), BackendError> {
        if item.effects.is_empty() {
            return Ok(());
        }
        let Ok(slot) = self.holding(&item.lease) else { return Ok(()) };
        let end = End::of_finish(item.decision, item.ending, self.facts(slot), now);
        let frees = usize::from(end.stay == Stay::Erased);
        self.check_room(&item.effects, end.frees_key.then_some(item.lease.job), frees, max_jobs)
    }

    fn finish_one(&mut self, item: FinishItem, now: Timestamp) -> Finished {
        let slot = match self.holding(&item.lease) {
            Ok(slot) => slot,
            Err(answer) => return self.refuse(&item, answer, now),
        };
        let end = End::of_finish(item.decision, item.ending, self.facts(slot), now);
        let FinishItem { output, error, reason, started_at, effects, .. } = item;
        self.end(slot, end, Said { output, error, reason, started_at, actor: None }, now);
        for effect in effects {
            // A duplicate effect is not stored and does not spoil the finish.
            self.enqueue_one(effect, now);
        }
        Finished::Accepted { state: end.state }
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
        Err(ended.map_or(lost(LostWhy::Unknown), |run| run.by.answer()))
    }

    fn slot_of(&self, lease: &Lease) -> Option<usize> {
        let placed = usize::try_from(lease.place.0).ok().filter(|slot| {
            self.jobs.get(*slot).and_then(Option::as_ref).is_some_and(|job| job.id == lease.job)
        });
        placed.or_else(|| self.by_id.get(&lease.job).copied())
    }

    fn refuse(&mut self, item: &FinishItem, answer: Finished, now: Timestamp) -> Finished {
        if answer.is_stale() {
            self.stale_finishes += 1;
            if let Some(&slot) = self.by_id.get(&item.lease.job) {
                self.job_mut(slot).add_event(JobEvent::stale_finish(now, item));
            }
        }
        answer
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
