//! The model: the contract as plainly as it can be said. Lists are searched, nothing is indexed, nothing is
//! clever.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use gristmill_core::{
    ClaimId, Enqueued, ExistingBy, JobId, JobPatch, JobSpec, JobState, Lease, LeaseToken, LogLine, Name,
    NewJob, Output, Priority, Register, RunRecord, Timestamp, Verb, Verdict, When, WorkerId,
};

/// Who does the operator's acts of a history.
pub(super) const ACTOR: &str = "ada";

/// All that the contract says a store knows.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) jobs: BTreeMap<JobId, Job>,
    /// Workers that were not retired; those whose lease has expired stay until a rescue marks them dead.
    pub(super) workers: BTreeMap<WorkerId, Worker>,
    pub(super) paused: Vec<Name>,
    /// Claims that a renewal gave back.
    pub(super) given_back: Vec<(WorkerId, ClaimId)>,
    /// Runs whose finish was accepted, jobs that are gone included.
    pub(super) accepted: Vec<(JobId, u32, LeaseToken)>,
    /// Registers by key, those that count as absent included, until they are pruned.
    pub(super) registers: BTreeMap<Bytes, Register>,
}

#[derive(Debug)]
pub(super) struct Worker {
    pub(super) started_at: Timestamp,
    pub(super) heartbeat_at: Timestamp,
    pub(super) lease: Duration,
    pub(super) kinds: Vec<Name>,
}

impl Worker {
    pub(super) fn expires_at(&self) -> Timestamp {
        self.heartbeat_at + self.lease
    }
}

#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: JobId,
    pub(super) spec: JobSpec,
    pub(super) state: JobState,
    pub(super) attempt: u16,
    pub(super) run: u32,
    pub(super) crashes: u16,
    pub(super) due: Due,
    pub(super) created_at: Timestamp,
    pub(super) finished_at: Option<Timestamp>,
    pub(super) held: Option<Held>,
    pub(super) cancel_requested: bool,
    /// It is scheduled for want of a handler, and due at no time.
    pub(super) is_parked: bool,
    pub(super) reason: Why,
    pub(super) output: Option<Output>,
    pub(super) progress: Option<u8>,
    pub(super) checkpoint: Option<Bytes>,
    /// What the present run has logged.
    pub(super) log: Vec<LogLine>,
    pub(super) runs: Vec<Run>,
    /// When, what and who of each event.
    pub(super) events: Vec<(Timestamp, &'static str, Option<&'static str>)>,
}

/// What the record must say of why a job is where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Why {
    /// The contract leaves it open.
    Open,
    /// This, or nothing.
    Said(Option<String>),
}

/// When a job is due.
#[derive(Debug, Clone, Copy)]
pub(super) enum Due {
    /// Then.
    At(Timestamp),
    /// The backend rolled the dice: somewhere in between, both ends included. The first look tells.
    Between(Timestamp, Timestamp),
}

/// The lease of a running job.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) lease: Lease,
    pub(super) worker: WorkerId,
    pub(super) fetched_at: Timestamp,
}

#[derive(Debug)]
pub(super) struct Run {
    pub(super) record: RunRecord,
    pub(super) token: LeaseToken,
    pub(super) by: By,
}

/// Who ended a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Worker,
    Rescue,
    GiveBack,
}

impl Job {
    /// When it is due; known to the millisecond once it was looked at.
    pub(super) fn run_at(&self) -> Timestamp {
        match self.due {
            Due::At(at) | Due::Between(at, _) => at,
        }
    }

    /// Where it stands in the order of fetching.
    pub(super) fn position(&self) -> (Priority, Timestamp, JobId) {
        (self.spec.priority, self.run_at(), self.id)
    }

    fn make_available(&mut self, run_at: Timestamp) {
        self.state = JobState::Available;
        self.due = Due::At(run_at);
        self.is_parked = false;
        self.reason = Why::Open;
    }
}

impl Model {
    pub(super) fn enqueue(&mut self, new: NewJob, now: Timestamp) -> Enqueued {
        if self.jobs.contains_key(&new.id) {
            return Enqueued::Existing { id: new.id, by: ExistingBy::Id };
        }
        if let Some(id) = self.holder(&new.spec) {
            return Enqueued::Existing { id, by: ExistingBy::UniqueKey };
        }
        let (state, run_at) = new.when.resolve(now);
        let job = Job {
            id: new.id,
            spec: new.spec,
            state,
            attempt: 0,
            run: 0,
            crashes: 0,
            due: Due::At(run_at),
            created_at: now,
            finished_at: None,
            held: None,
            cancel_requested: false,
            is_parked: false,
            reason: Why::Said(None),
            output: None,
            progress: None,
            checkpoint: None,
            log: Vec::new(),
            runs: Vec::new(),
            events: Vec::new(),
        };
        self.jobs.insert(job.id, job);
        Enqueued::Created
    }

    /// Who holds the unique key of this spec in its queue.
    fn holder(&self, spec: &JobSpec) -> Option<JobId> {
        let key = spec.unique_key.as_ref()?;
        let holds = |job: &&Job| {
            !job.state.is_terminal()
                && job.spec.unique_key.as_ref() == Some(key)
                && job.spec.queue == spec.queue
        };
        self.jobs.values().find(holds).map(|job| job.id)
    }

    pub(super) fn is_alive(&self, worker: WorkerId, now: Timestamp) -> bool {
        self.workers.get(&worker).is_some_and(|known| known.expires_at() > now)
    }

    pub(super) fn register(&mut self, worker: WorkerId, kinds: Vec<Name>, lease: Duration, now: Timestamp) {
        let started_at = self.workers.get(&worker).map_or(now, |known| known.started_at);
        self.workers.insert(worker, Worker { started_at, heartbeat_at: now, lease, kinds });
    }

    /// The lease of a job that was just fetched.
    pub(super) fn lease(&mut self, lease: Lease, worker: WorkerId, now: Timestamp) {
        let job = self.jobs.get_mut(&lease.job).expect("it was fetchable");
        job.state = JobState::Running;
        job.attempt += 1;
        job.run += 1;
        job.progress = None;
        job.reason = Why::Open;
        job.is_parked = false;
        job.held = Some(Held { lease, worker, fetched_at: now });
    }

    /// The running jobs of a worker.
    pub(super) fn running(&self, worker: WorkerId) -> impl Iterator<Item = (&Job, &Held)> {
        let held = move |job: &Job| job.held.as_ref().is_some_and(|held| held.worker == worker);
        self.jobs.values().filter(move |job| held(job)).filter_map(|job| Some((job, job.held.as_ref()?)))
    }

    /// The claims of a worker that still have a running job.
    pub(super) fn open_claims(&self, worker: WorkerId) -> Vec<ClaimId> {
        let mut claims: Vec<_> = self.running(worker).map(|(_, held)| held.lease.claim).collect();
        claims.sort_unstable();
        claims.dedup();
        claims
    }

    /// Waiting jobs whose time has come.
    pub(super) fn due(&self, now: Timestamp) -> Vec<JobId> {
        let due = |job: &&Job| {
            matches!(job.state, JobState::Scheduled | JobState::Retryable)
                && !job.is_parked
                && job.run_at() <= now
        };
        self.jobs.values().filter(due).map(|job| job.id).collect()
    }

    /// When the next waiting job is due.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let waiting =
            |job: &&Job| matches!(job.state, JobState::Scheduled | JobState::Retryable) && !job.is_parked;
        self.jobs.values().filter(waiting).map(Job::run_at).min()
    }

    pub(super) fn promote(&mut self, id: JobId) {
        let job = self.job(id);
        job.make_available(job.run_at());
    }

    /// Marks the workers dead whose lease has expired. Returns the jobs a rescue may take: those that no
    /// living worker holds.
    pub(super) fn declare_dead(&mut self, now: Timestamp) -> Vec<(WorkerId, ClaimId, JobId)> {
        self.workers.retain(|_, worker| worker.expires_at() > now);
        let held = self.jobs.values().filter_map(|job| Some((job.held.as_ref()?, job.id)));
        let orphaned = held.filter(|(held, _)| !self.workers.contains_key(&held.worker));
        orphaned.map(|(held, id)| (held.worker, held.lease.claim, id)).collect()
    }

    /// Ends a job's run as crashed, and gives the state it went to.
    pub(super) fn crash(&mut self, id: JobId, now: Timestamp) -> JobState {
        let settled = self.jobs[&id].crashed(now);
        let state = settled.state;
        self.end(id, settled, super::finish::Said::default(), now);
        state
    }

    /// Ended jobs whose retention has passed.
    pub(super) fn past_retention(&self, now: Timestamp) -> Vec<JobId> {
        let is_past = |job: &&Job| {
            let retention = job.spec.retention().of(job.state);
            matches!((job.finished_at, retention), (Some(at), Some(retention)) if at + retention <= now)
        };
        self.jobs.values().filter(is_past).map(|job| job.id).collect()
    }

    /// An operator's act leaves an event where it did something.
    pub(super) fn note_act(&mut self, id: JobId, verb: Verb, verdict: &Verdict, now: Timestamp) {
        if matches!(verdict, Verdict::Done | Verdict::Requested)
            && let Some(job) = self.jobs.get_mut(&id)
        {
            job.events.push((now, verb.as_str(), Some(ACTOR)));
        }
    }

    pub(super) fn act(&mut self, verb: Verb, id: JobId, now: Timestamp) -> Verdict {
        let Some(job) = self.jobs.get(&id) else { return Verdict::NotFound };
        let state = job.state;
        match verb {
            Verb::Cancel => self.cancel(id, now),
            Verb::Retry => self.retry(id, now),
            Verb::Delete if state == JobState::Running => Verdict::Refused(state),
            Verb::Delete => {
                self.jobs.remove(&id);
                Verdict::Done
            }
            Verb::ReleaseHold if state == JobState::Suspended => {
                self.job(id).make_available(now);
                Verdict::Done
            }
            Verb::ReleaseHold => Verdict::Refused(state),
            Verb::Update => panic!("an update has a patch"),
        }
    }

    fn cancel(&mut self, id: JobId, now: Timestamp) -> Verdict {
        let job = self.job(id);
        if job.state.is_terminal() {
            return Verdict::AlreadyTerminal;
        }
        if job.state == JobState::Running {
            job.cancel_requested = true;
            return Verdict::Requested;
        }
        job.state = JobState::Cancelled;
        job.is_parked = false;
        job.finished_at = Some(now);
        job.reason = Why::Open;
        self.forget_unless_kept(id);
        Verdict::Done
    }

    fn retry(&mut self, id: JobId, now: Timestamp) -> Verdict {
        let (state, holder) = (self.jobs[&id].state, self.holder(&self.jobs[&id].spec));
        if matches!(state, JobState::Running | JobState::Suspended) {
            return Verdict::Refused(state);
        }
        if state == JobState::Available {
            return Verdict::Done;
        }
        if let Some(other) = holder.filter(|other| *other != id) {
            return Verdict::Conflict(other);
        }
        let job = self.job(id);
        job.make_available(now);
        (job.attempt, job.crashes, job.finished_at) = (0, 0, None);
        Verdict::Done
    }

    pub(super) fn update(&mut self, id: JobId, patch: &JobPatch, now: Timestamp) -> Verdict {
        let Some(job) = self.jobs.get_mut(&id) else { return Verdict::NotFound };
        if job.state == JobState::Running || job.state.is_terminal() {
            return Verdict::Refused(job.state);
        }
        if job.is_parked {
            job.make_available(job.run_at());
        }
        let when = patch.when.filter(|when| *when != When::Suspended && job.state != JobState::Suspended);
        if let Some(when) = when {
            let (state, run_at) = when.resolve(now);
            (job.state, job.due) = (state, Due::At(run_at));
        }
        job.spec.args = patch.args.clone().unwrap_or_else(|| job.spec.args.clone());
        job.spec.priority = patch.priority.unwrap_or(job.spec.priority);
        job.spec.max_attempts = patch.max_attempts.unwrap_or(job.spec.max_attempts);
        Verdict::Done
    }

    pub(super) fn job(&mut self, id: JobId) -> &mut Job {
        self.jobs.get_mut(&id).expect("it was looked up")
    }

    /// A retention of zero deletes a job in the act that ends it.
    pub(super) fn forget_unless_kept(&mut self, id: JobId) {
        let job = &self.jobs[&id];
        if job.spec.retention().of(job.state) == Some(Duration::ZERO) {
            self.jobs.remove(&id);
        }
    }
}
