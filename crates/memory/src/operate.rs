//! The operator's acts: cancel, retry, delete, update, release.

use std::sync::Arc;

use gristmill_core::{
    Cursor, Hint, JobEvent, JobId, JobPatch, JobState, Select, Timestamp, Verb, VerbReply, VerbRequest,
    Verdict, When,
};

use crate::store::Store;

impl Store {
    pub(crate) fn cancel(&mut self, request: VerbRequest, now: Timestamp) -> VerbReply {
        self.act(Verb::Cancel, request, now, |store, slot| match store.job(slot).state {
            state if state.is_terminal() => Verdict::AlreadyTerminal,
            JobState::Running => {
                store.job_mut(slot).cancel_requested = true;
                let id = store.job(slot).id;
                store.hints.push(Hint::CancelRequested(id));
                Verdict::Requested
            }
            _ => {
                store.move_to(slot, JobState::Cancelled, |job| {
                    job.finished_at = Some(now);
                    job.reason = None;
                });
                Verdict::Done
            }
        })
    }

    pub(crate) fn retry(&mut self, request: VerbRequest, now: Timestamp) -> VerbReply {
        self.act(Verb::Retry, request, now, |store, slot| match store.job(slot).state {
            JobState::Available => Verdict::Done,
            state @ (JobState::Running | JobState::Suspended) => Verdict::Refused(state),
            state => {
                if state.is_terminal() {
                    let job = store.job(slot);
                    let (spec, queue, id) = (Arc::clone(&job.spec), job.queue, job.id);
                    if let Some(holder) = store.take_unique(&spec, queue, id) {
                        return Verdict::Conflict(holder);
                    }
                }
                store.move_to(slot, JobState::Available, |job| {
                    job.attempt = 0;
                    job.crashes = 0;
                    job.run_at = now;
                    job.finished_at = None;
                    job.output = None;
                    job.reason = None;
                });
                Verdict::Done
            }
        })
    }

    pub(crate) fn delete(&mut self, request: VerbRequest, now: Timestamp) -> VerbReply {
        self.act(Verb::Delete, request, now, |store, slot| {
            if store.job(slot).state == JobState::Running {
                return Verdict::Refused(JobState::Running);
            }
            store.remove(slot);
            Verdict::Done
        })
    }

    pub(crate) fn update(&mut self, request: VerbRequest, patch: &JobPatch, now: Timestamp) -> VerbReply {
        self.act(Verb::Update, request, now, |store, slot| {
            let state = store.job(slot).state;
            if !state.is_waiting() && state != JobState::Available {
                return Verdict::Refused(state);
            }
            let (next, run_at) = match patch.when {
                Some(when) if when != When::Suspended && state != JobState::Suspended => when.resolve(now),
                _ => (state, store.job(slot).run_at),
            };
            store.move_to(slot, next, |job| {
                job.run_at = run_at;
                let spec = Arc::make_mut(&mut job.spec);
                spec.args = patch.args.clone().unwrap_or_else(|| spec.args.clone());
                spec.priority = patch.priority.unwrap_or(spec.priority);
                spec.max_attempts = patch.max_attempts.unwrap_or(spec.max_attempts);
            });
            Verdict::Done
        })
    }

    pub(crate) fn release_hold(&mut self, request: VerbRequest, now: Timestamp) -> VerbReply {
        self.act(Verb::ReleaseHold, request, now, |store, slot| match store.job(slot).state {
            JobState::Suspended => {
                store.move_to(slot, JobState::Available, |job| job.run_at = now);
                Verdict::Done
            }
            state => Verdict::Refused(state),
        })
    }

    /// Applies an act to each selected job, and leaves an event where it changed something.
    fn act(
        &mut self,
        verb: Verb,
        request: VerbRequest,
        now: Timestamp,
        mut apply: impl FnMut(&mut Self, usize) -> Verdict,
    ) -> VerbReply {
        let (ids, next) = self.select(request.select);
        let mut reply = VerbReply::default();
        reply.next = next;
        for id in ids {
            let Some(&slot) = self.by_id.get(&id) else {
                reply.jobs.push((id, Verdict::NotFound));
                continue;
            };
            let verdict = apply(self, slot);
            if let (Verdict::Done | Verdict::Requested, Some(&slot)) = (&verdict, self.by_id.get(&id)) {
                let event = JobEvent::new(now, verb.as_str(), request.actor.clone(), None);
                self.job_mut(slot).add_event(event);
            }
            reply.jobs.push((id, verdict));
        }
        reply
    }

    fn select(&self, select: Select) -> (Vec<JobId>, Option<Cursor>) {
        match select {
            Select::Ids(ids) => (ids, None),
            Select::Filter { filter, cursor, limit } => {
                let page = self.scan(&filter, cursor, gristmill_core::Order::OldestFirst, limit);
                (page.items.into_iter().map(|slot| self.job(slot).id).collect(), page.next)
            }
            _ => (Vec::new(), None),
        }
    }
}
