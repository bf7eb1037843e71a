//! A backend with one defect.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use gristmill_core::{
    Backend, BackendError, Call, Change, ClaimId, Committed, Decision, EnqueueReply, EnqueueRequest,
    Enqueued, ExistingBy, FetchReply, FetchRequest, FinishReply, FinishRequest, Finished, JobEvent,
    JobFilter, JobId, JobRecord, JobState, Lease, ListRequest, Maintained, Name, NewJob, Page, PauseRequest,
    RegisterWorker, RenewReply, RenewRequest, Reply, RescueReply, Select, StatsReply, StatsRequest,
    Timestamp, UniqueKey, VerbReply, VerbRequest, Verdict, WorkerId, Wrapper,
};
use gristmill_memory::Memory;

use crate::defect::Defect;

/// A sound backend with a defect in front of it.
#[derive(Debug)]
pub(crate) struct Defective {
    inner: Memory,
    defect: Defect,
    notes: Mutex<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    /// The latest lease of each job, and who holds it.
    latest: HashMap<JobId, (Lease, WorkerId)>,
    /// Who holds a key, for the defect that looks first and the one that forgets keys.
    keys: HashMap<(Name, UniqueKey), JobId>,
    paused: Vec<PauseRequest>,
    /// Claims of each worker that were granted.
    claims: Vec<(WorkerId, ClaimId)>,
    next_claim: u64,
}

impl Defective {
    pub(crate) fn new(inner: Memory, defect: Defect) -> Self {
        Self { inner, defect, notes: Mutex::default() }
    }

    fn has(&self, defect: Defect) -> bool {
        self.defect == defect
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().expect("no thread panics with the notes in hand")
    }

    fn note(&self, worker: WorkerId, reply: &FetchReply) {
        let mut notes = self.notes();
        for job in &reply.jobs {
            notes.latest.insert(job.lease.job, (job.lease.clone(), worker));
            notes.claims.push((worker, job.lease.claim));
        }
    }

    fn latest(&self, id: JobId) -> Option<(Lease, WorkerId)> {
        self.notes().latest.get(&id).cloned()
    }

    /// Enqueues one by one, with the key looked for beforehand.
    async fn check_then_insert(&self, call: Call, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>, BackendError> {
        let mut replies = Vec::new();
        for mut job in jobs {
            let key = job.spec.unique_key.clone().map(|key| (job.spec.queue.clone(), key));
            if let Some(key) = key {
                let holder = self.notes().keys.get(&key).copied();
                let held = match holder {
                    Some(id) => self.inner.get(call, vec![id]).await?.remove(0),
                    None => None,
                };
                if held.is_none_or(|job| job.state.is_terminal()) {
                    // Here another producer comes in between.
                    for _ in 0..100 {
                        std::thread::yield_now();
                    }
                    self.notes().keys.insert(key, job.id);
                    let open = UniqueKey::new(job.id.to_string()).expect("an id is a key");
                    job.spec.unique_key = Some(open);
                }
            }
            let reply = self.inner.enqueue(call, EnqueueRequest::new(vec![job])).await?;
            replies.extend(reply.jobs);
        }
        Ok(replies)
    }
}

impl Defective {
    /// Enqueues one by one, and takes a key for held as long as the job that had it is there.
    async fn enqueue_by_old_keys(
        &self,
        call: Call,
        jobs: Vec<NewJob>,
    ) -> Result<Vec<Enqueued>, BackendError> {
        let mut replies = Vec::new();
        for job in jobs {
            let id = job.id;
            let key = job.spec.unique_key.clone().map(|key| (job.spec.queue.clone(), key));
            let holder = key.as_ref().and_then(|key| self.notes().keys.get(key).copied());
            let holder = holder.filter(|holder| *holder != id);
            if let Some(id) = holder
                && self.inner.get(call, vec![id]).await?.remove(0).is_some()
            {
                replies.push(Enqueued::Existing { id, by: ExistingBy::UniqueKey });
                continue;
            }
            let stored = self.inner.enqueue(call, EnqueueRequest::new(vec![job])).await?.jobs;
            if let (Some(key), [Enqueued::Created]) = (key, stored.as_slice()) {
                self.notes().keys.insert(key, id);
            }
            replies.extend(stored);
        }
        Ok(replies)
    }
}

impl Wrapper for Defective {
    fn inner(&self) -> &dyn Backend {
        &self.inner
    }

    fn name(&self) -> &'static str {
        "defective"
    }

    fn enqueue(&self, call: Call, mut request: EnqueueRequest) -> Reply<'_, EnqueueReply> {
        if self.has(Defect::ReversesBatches) {
            return Box::pin(async move {
                request.jobs.reverse();
                let mut reply = self.inner.enqueue(call, request).await?;
                reply.jobs.reverse();
                Ok(reply)
            });
        }
        if self.has(Defect::SkipsUniqueWithinACall) {
            let mut seen = Vec::new();
            for job in &mut request.jobs {
                let key = job.spec.unique_key.clone().map(|key| (job.spec.queue.clone(), key));
                if seen.contains(&key) {
                    job.spec.unique_key = None;
                }
                seen.push(key);
            }
        }
        if self.has(Defect::ChecksUniqueThenInserts) {
            return Box::pin(async move {
                let jobs = self.check_then_insert(call, request.jobs).await?;
                Ok(EnqueueReply::new(jobs, gristmill_core::Durability::Process))
            });
        }
        if self.has(Defect::ForgetsKeysAtTheEnd) {
            return Box::pin(async move {
                let jobs = self.enqueue_by_old_keys(call, request.jobs).await?;
                Ok(EnqueueReply::new(jobs, gristmill_core::Durability::Process))
            });
        }
        self.inner.enqueue(call, request)
    }

    fn fetch(&self, call: Call, mut request: FetchRequest) -> Reply<'_, FetchReply> {
        Box::pin(async move {
            let worker = request.worker;
            if self.has(Defect::ForgetsClaims) {
                let mut notes = self.notes();
                notes.next_claim += 1;
                request.claim = ClaimId(notes.next_claim << 32);
            }
            let ignored =
                if self.has(Defect::IgnoresPause) { self.notes().paused.clone() } else { Vec::new() };
            for pause in &ignored {
                self.inner.resume(call, pause.queue.clone()).await?;
            }
            let reply = self.inner.fetch(call, request).await;
            for pause in ignored {
                self.inner.pause(call, pause).await?;
            }
            let reply = reply?;
            self.note(worker, &reply);
            Ok(reply)
        })
    }

    fn renew(&self, call: Call, mut request: RenewRequest) -> Reply<'_, RenewReply> {
        if self.has(Defect::KeepsForgottenClaims) {
            let notes = self.notes();
            let mine = notes.claims.iter().filter(|(worker, _)| *worker == request.worker);
            request.known_claims.extend(mine.map(|(_, claim)| *claim));
        }
        self.inner.renew(call, request)
    }

    fn finish(&self, call: Call, mut request: FinishRequest) -> Reply<'_, FinishReply> {
        Box::pin(async move {
            for item in &mut request.items {
                if let Some((latest, _)) =
                    self.latest(item.lease.job).filter(|_| self.has(Defect::FinishesById))
                {
                    item.lease = latest;
                }
                if self.has(Defect::StoresEffectsOfStaleFinishes) && !item.effects.is_empty() {
                    self.inner.enqueue(call, EnqueueRequest::new(item.effects.clone())).await?;
                }
            }
            let items = request.items.clone();
            let reply = self.inner.finish(call, request).await?;
            for (item, answer) in items.into_iter().zip(&reply.items) {
                let repeated = matches!(item.decision, Decision::GiveBackAfter(_))
                    && *answer == Finished::AlreadyAccepted
                    && self.has(Defect::RefundsTwice);
                if let Some((latest, _)) = self.latest(item.lease.job).filter(|_| repeated) {
                    let mut again = item;
                    again.lease = latest;
                    self.inner.finish(call, FinishRequest::new(vec![again])).await?;
                }
            }
            Ok(reply)
        })
    }

    fn register_worker(&self, call: Call, mut request: RegisterWorker) -> Reply<'_, ()> {
        if self.has(Defect::NeverExpiresLeases) {
            request.lease = Duration::from_secs(10 * 365 * 24 * 3600);
        }
        self.inner.register_worker(call, request)
    }

    fn cancel(&self, call: Call, request: VerbRequest) -> Reply<'_, VerbReply> {
        let ids = match &request.select {
            Select::Ids(ids) => ids.clone(),
            Select::Filter { .. } => return self.inner.cancel(call, request),
        };
        if !self.has(Defect::ForgetsCancelOfRunningJobs) {
            return self.inner.cancel(call, request);
        }
        Box::pin(async move {
            let mut reply = VerbReply::default();
            for id in ids {
                let job = self.inner.get(call, vec![id]).await?.remove(0);
                if job.is_some_and(|job| job.state == JobState::Running) {
                    reply.jobs.push((id, Verdict::Requested));
                } else {
                    let one = self.inner.cancel(call, VerbRequest::ids(vec![id])).await?;
                    reply.jobs.extend(one.jobs);
                }
            }
            Ok(reply)
        })
    }

    fn promote(&self, mut call: Call, limit: usize) -> Reply<'_, Maintained> {
        if self.has(Defect::PromotesEarly) {
            call.now = call.now.map(|now: Timestamp| now + Duration::from_millis(999));
        }
        self.inner.promote(call, limit)
    }

    fn rescue(&self, call: Call, limit: usize) -> Reply<'_, RescueReply> {
        Box::pin(async move {
            let now = call.now.unwrap_or(Timestamp::EPOCH);
            let workers = self.inner.list_workers(call).await?;
            let dead: Vec<WorkerId> = workers
                .iter()
                .filter(|worker| worker.lease_expires_at <= now)
                .map(|worker| worker.id)
                .collect();
            let reply = self.inner.rescue(call, limit).await?;
            if self.has(Defect::RescuesFinishedJobs) {
                let latest: Vec<_> = self.notes().latest.values().cloned().collect();
                for (lease, _) in latest.into_iter().filter(|(_, worker)| dead.contains(worker)) {
                    self.inner.retry(call, VerbRequest::ids(vec![lease.job])).await?;
                }
            }
            Ok(reply)
        })
    }

    fn prune(&self, call: Call, limit: usize) -> Reply<'_, Maintained> {
        if self.has(Defect::ForgetsRetentionAtTheEnd) {
            return Box::pin(async { Ok(Maintained::default()) });
        }
        self.inner.prune(call, limit)
    }

    fn stats(&self, call: Call, request: StatsRequest) -> Reply<'_, StatsReply> {
        Box::pin(async move {
            let mut reply = self.inner.stats(call, request).await?;
            if self.has(Defect::HidesStaleFinishes) {
                reply.stale_finishes = 0;
            }
            Ok(reply)
        })
    }

    fn list_events(&self, call: Call, id: JobId) -> Reply<'_, Vec<JobEvent>> {
        if self.has(Defect::HidesEvents) {
            return Box::pin(async { Ok(Vec::new()) });
        }
        self.inner.list_events(call, id)
    }

    fn checkpoint(&self, call: Call, id: JobId) -> Reply<'_, Option<bytes::Bytes>> {
        Box::pin(async move {
            let job = self.inner.get(call, vec![id]).await?.remove(0);
            let runs = job.is_some_and(|job| job.state == JobState::Running && job.attempt == 1);
            if self.has(Defect::LosesCheckpoints) && !runs {
                return Ok(None);
            }
            self.inner.checkpoint(call, id).await
        })
    }

    fn list(&self, call: Call, mut request: ListRequest) -> Reply<'_, Page<JobRecord>> {
        if self.has(Defect::ListsByPlaceAlone) {
            let JobFilter { states, queues, .. } = request.filter;
            request.filter = JobFilter::new();
            (request.filter.states, request.filter.queues) = (states, queues);
        }
        self.inner.list(call, request)
    }

    fn commit(&self, call: Call, changes: Vec<Change>) -> Reply<'_, Vec<Committed>> {
        Box::pin(crate::register::commit(&self.inner, self.defect, call, changes))
    }

    fn pause(&self, call: Call, request: PauseRequest) -> Reply<'_, ()> {
        self.notes().paused.push(request.clone());
        self.inner.pause(call, request)
    }

    fn resume(&self, call: Call, queue: Name) -> Reply<'_, ()> {
        self.notes().paused.retain(|pause| pause.queue != queue);
        self.inner.resume(call, queue)
    }
}
