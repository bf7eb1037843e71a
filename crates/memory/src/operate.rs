//! The operator's acts: cancel, retry, delete, update, release.

use std::sync::Arc;

use gristmill_core::{
    Act, Cursor, Hint, JobEvent, JobId, JobPatch, JobState, Order, Select, Timestamp, Verb, VerbReply,
    VerbRequest, Verdict, operate,
};

use crate::end::Said;
use crate::store::Store;

impl Store {
    pub(crate) fn cancel(&mut self, request: VerbRequest, now: Timestamp) -> VerbReply {
        self.operate(Verb::Cancel, request, None, now)
    }

    pub(crate) fn retry(&mut self, request: VerbRequest, now: Timestamp) -> VerbReply {
        self.operate(Verb::Retry, request, None, now)
    }

    pub(crate) fn delete(&mut self, request: VerbRequest, now: Timestamp) -> VerbReply {
        self.operate(Verb::Delete, request, None, now)
    }

    pub(crate) fn update(&mut self, request: VerbRequest, patch: &JobPatch, now: Timestamp) -> VerbReply {
        self.operate(Verb::Update, request, Some(patch), now)
    }

    pub(crate) fn release_hold(&mut self, request: VerbRequest, now: Timestamp) -> VerbReply {
        self.operate(Verb::ReleaseHold, request, None, now)
    }

    /// Applies an act to each selected job.
    fn operate(
        &mut self,
        verb: Verb,
        request: VerbRequest,
        patch: Option<&JobPatch>,
        now: Timestamp,
    ) -> VerbReply {
        let when = patch.and_then(|patch| patch.when);
        let (ids, next) = self.select(request.select);
        let mut reply = VerbReply::default();
        reply.next = next;
        for id in ids {
            let Some(&slot) = self.by_id.get(&id) else {
                reply.jobs.push((id, Verdict::NotFound));
                continue;
            };
            let act = operate(verb, self.job(slot).standing(), when, now);
            let by = (verb, request.actor.as_deref());
            reply.jobs.push((id, self.apply(slot, &act, patch, by, now)));
        }
        reply
    }

    fn apply(
        &mut self,
        slot: usize,
        act: &Act,
        patch: Option<&JobPatch>,
        (verb, actor): (Verb, Option<&str>),
        now: Timestamp,
    ) -> Verdict {
        match *act {
            Act::Nothing(_) => {}
            Act::RequestCancel => {
                self.job_mut(slot).cancel_requested = true;
                let id = self.job(slot).id;
                self.hints.push(Hint::CancelRequested(id));
            }
            Act::End(end) => {
                self.end(slot, end, Said { actor, ..Said::default() }, now);
                return act.verdict();
            }
            Act::Restart { takes_unique_key } => {
                if let Some(holder) = takes_unique_key.then(|| self.retake_unique(slot)).flatten() {
                    return Verdict::Conflict(holder);
                }
                self.restart(slot, now);
            }
            Act::Move { state, run_at } => {
                let was_parked = self.job(slot).is_parked;
                self.move_to(slot, state, |job| {
                    job.run_at = run_at;
                    if was_parked {
                        job.reason = None;
                    }
                    if let Some(patch) = patch {
                        let spec = Arc::make_mut(&mut job.spec);
                        spec.args = patch.args.clone().unwrap_or_else(|| spec.args.clone());
                        spec.priority = patch.priority.unwrap_or(spec.priority);
                        spec.max_attempts = patch.max_attempts.unwrap_or(spec.max_attempts);
                    }
                });
            }
        }
        let verdict = act.verdict();
        if verdict.leaves_event() {
            let event = JobEvent::new(now, verb.as_str(), actor.map(str::to_owned), None);
            self.job_mut(slot).add_event(event);
        }
        verdict
    }

    fn retake_unique(&mut self, slot: usize) -> Option<JobId> {
        let job = self.job(slot);
        let (spec, queue, id) = (Arc::clone(&job.spec), job.queue, job.id);
        self.take_unique(&spec, queue, id)
    }

    fn restart(&mut self, slot: usize, now: Timestamp) {
        self.move_to(slot, JobState::Available, |job| {
            job.attempt = 0;
            job.crashes = 0;
            job.run_at = now;
            job.finished_at = None;
            job.output = None;
            job.reason = None;
        });
    }

    fn select(&self, select: Select) -> (Vec<JobId>, Option<Cursor>) {
        match select {
            Select::Ids(ids) => (ids, None),
            Select::Filter { filter, cursor, limit } => {
                let page = self.scan(&filter, cursor, Order::OldestFirst, limit);
                (page.items.into_iter().map(|slot| self.job(slot).id).collect(), page.next)
            }
        }
    }
}
