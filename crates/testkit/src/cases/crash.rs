//! Lost replies and dead clients: a small client over a faulty link, which repeats what it does not know.

use std::sync::Arc;
use std::time::Duration;

use gristmill_core::{
    Backend, BackendErrorKind, ClaimId, EnqueueRequest, Enqueued, ExistingBy, FetchRequest, FetchedJob,
    FinishItem, FinishRequest, Finished, JobFilter, JobId, JobState, NewJob, QueueWant, RecordRequest,
    RenewRequest, Reply, VerbRequest, WorkerId,
};

use crate::case::cases;
use crate::fixture::name;
use crate::{Fault, FaultyBackend, Fixture, Operation, Shape, block_on};

cases! { "crash":
    enqueue_repeated_after_a_lost_reply_stores_once,
    enqueue_repeated_after_a_lost_reply_names_each_job,
    enqueue_repeated_after_a_failure_stores_once,
    enqueue_of_a_dropped_call_is_done_or_not_done,
    fetch_repeated_after_a_lost_reply_gives_the_same_jobs,
    fetch_that_was_lost_and_forgotten_is_given_back_by_the_next_renewal,
    fetch_of_a_client_that_died_is_rescued,
    finish_repeated_after_a_lost_reply_is_accepted_once,
    finish_repeated_after_a_lost_reply_stores_its_effects_once,
    finish_that_arrives_after_the_rescue_is_refused,
    renew_repeated_after_a_lost_reply_gives_back_once,
    record_repeated_after_a_lost_reply_is_accepted,
    cancel_repeated_after_a_lost_reply_is_one_cancel,
    retry_by_hand_repeated_after_a_lost_reply_is_one_retry,
    register_repeated_after_a_lost_reply_is_one_worker,
    retire_repeated_after_a_lost_reply_refunds_once,
    rescue_repeated_after_a_lost_reply_counts_each_crash_once,
    client_over_a_faulty_link_runs_every_job_once,
}

const LOST: Fault = Fault::LoseReply(BackendErrorKind::Unavailable);
const COMPLETED: Finished = Finished::Accepted { state: JobState::Completed };

/// A client of the fixture's store whose link fails on demand. It repeats a call until it is answered, as the
/// engine does, with the same ids, claim numbers and tokens.
struct Client<'a> {
    t: &'a Fixture,
    link: FaultyBackend,
    worker: WorkerId,
}

impl<'a> Client<'a> {
    fn new(t: &'a Fixture) -> Self {
        Self { t, link: FaultyBackend::new(t.backend()), worker: t.worker() }
    }

    /// Repeats a call until it is answered.
    fn insist<T>(&self, call: impl for<'b> Fn(&'b dyn Backend, gristmill_core::Call) -> Reply<'b, T>) -> T {
        for _ in 0..100 {
            match block_on(call(&self.link, self.t.call())) {
                Ok(reply) => return reply,
                Err(error) => assert!(error.is_retryable(), "{error:?}"),
            }
        }
        panic!("the link never healed");
    }

    fn enqueue(&self, jobs: &[NewJob]) -> Vec<Enqueued> {
        self.insist(|link, call| link.enqueue(call, EnqueueRequest::new(jobs.to_vec()))).jobs
    }

    fn fetch(&self, claim: ClaimId, max: usize) -> Vec<FetchedJob> {
        self.insist(|link, call| link.fetch(call, self.wish(claim, max))).jobs
    }

    fn wish(&self, claim: ClaimId, max: usize) -> FetchRequest {
        FetchRequest::new(self.worker, claim, vec![QueueWant::new(name(Fixture::QUEUE), max)])
    }

    fn take(&self) -> FetchedJob {
        let mut jobs = self.fetch(self.t.next_claim(), 1);
        assert_eq!(jobs.len(), 1);
        jobs.remove(0)
    }

    fn finish(&self, item: &FinishItem) -> Finished {
        let request = FinishRequest::new(vec![item.clone()]);
        self.insist(|link, call| link.finish(call, request.clone())).items[0]
    }
}

fn enqueue_repeated_after_a_lost_reply_stores_once(t: &Fixture) {
    let client = Client::new(t);
    client.link.script(Operation::Enqueue, [LOST, LOST]);
    let job = t.job();
    let id = job.id;

    let replies = client.enqueue(&[job]);

    assert_eq!(replies, [Enqueued::Existing { id, by: ExistingBy::Id }]);
    assert_eq!((t.count(JobFilter::new()), client.link.calls(Operation::Enqueue)), (1, 3));
}

fn enqueue_repeated_after_a_lost_reply_names_each_job(t: &Fixture) {
    let client = Client::new(t);
    let holder = t.put(t.job().key("k"));
    client.link.script(Operation::Enqueue, [LOST]);
    let jobs = [t.job().key("mine"), t.job().key("k")];

    let replies = client.enqueue(&jobs);

    let mine = Enqueued::Existing { id: jobs[0].id, by: ExistingBy::Id };
    assert_eq!(replies, [mine, Enqueued::Existing { id: holder, by: ExistingBy::UniqueKey }]);
}

fn enqueue_repeated_after_a_failure_stores_once(t: &Fixture) {
    let client = Client::new(t);
    client.link.script(Operation::Enqueue, [Fault::Fail(BackendErrorKind::Busy)]);

    assert_eq!(client.enqueue(&[t.job()]), [Enqueued::Created]);
}

/// A producer that stops listening in the middle of a call leaves it done or not done, never half.
fn enqueue_of_a_dropped_call_is_done_or_not_done(t: &Fixture) {
    let backend = t.backend();
    for polls in 0..3 {
        let jobs: Vec<_> = (0..5).map(|_| t.job()).collect();
        let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        let mut call = backend.enqueue(t.call(), EnqueueRequest::new(jobs.clone()));
        for _ in 0..polls {
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            if call.as_mut().poll(&mut context).is_ready() {
                break;
            }
        }
        drop(call);

        t.enqueue(jobs);

        t.assert_states(&ids, JobState::Available);
    }
    assert_eq!(t.count(JobFilter::new()), 15);
}

fn fetch_repeated_after_a_lost_reply_gives_the_same_jobs(t: &Fixture) {
    let client = Client::new(t);
    t.put_many(5);
    client.link.script(Operation::Fetch, [LOST, LOST]);

    let jobs = client.fetch(t.next_claim(), 2);

    assert_eq!(jobs.iter().map(|job| (job.attempt, job.lease.run)).collect::<Vec<_>>(), [(1, 1), (1, 1)]);
    assert_eq!(t.count(JobFilter::new().state(JobState::Running)), 2);
    assert!(jobs.iter().all(|job| t.complete(&job.lease) == COMPLETED));
}

fn fetch_that_was_lost_and_forgotten_is_given_back_by_the_next_renewal(t: &Fixture) {
    let client = Client::new(t);
    let id = t.put(t.job());
    client.link.script(Operation::Fetch, [LOST]);
    let lost = block_on(client.link.fetch(t.call(), client.wish(t.next_claim(), 1)));
    assert!(lost.is_err());
    assert_eq!(t.state(id), JobState::Running);

    t.renew(client.worker, &[]);

    assert_eq!((t.state(id), t.look(id).attempt), (JobState::Available, 0));
}

fn fetch_of_a_client_that_died_is_rescued(t: &Fixture) {
    let client = Client::new(t);
    let id = t.put(t.job());
    client.take();
    drop(client);

    t.crash();

    assert_eq!((t.state(id), t.look(id).attempt), (JobState::Available, 1));
}

fn finish_repeated_after_a_lost_reply_is_accepted_once(t: &Fixture) {
    let client = Client::new(t);
    let id = t.put(t.job());
    let lease = client.take().lease;
    client.link.script(Operation::Finish, [LOST, LOST]);

    assert_eq!(client.finish(&FinishItem::complete(lease)), Finished::AlreadyAccepted);

    assert_eq!((t.state(id), t.runs(id).len(), t.stats().stale_finishes), (JobState::Completed, 1, 0));
}

fn finish_repeated_after_a_lost_reply_stores_its_effects_once(t: &Fixture) {
    let client = Client::new(t);
    t.put(t.job());
    let mut end = FinishItem::complete(client.take().lease);
    end.effects.push(t.job().queue("next"));
    client.link.script(Operation::Finish, [LOST]);

    client.finish(&end);

    assert_eq!(t.count(JobFilter::new().queue(name("next"))), 1);
}

/// The network held a finish back for longer than the lease: meanwhile another worker has the job.
fn finish_that_arrives_after_the_rescue_is_refused(t: &Fixture) {
    let client = Client::new(t);
    let id = t.put(t.job());
    let end = FinishItem::complete(client.take().lease);
    client.link.script(Operation::Finish, [Fault::HoldRequest]);
    let mut held = client.link.finish(t.call(), FinishRequest::new(vec![end]));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(held.as_mut().poll(&mut context).is_pending());
    t.crash();
    let fresh = t.take(t.worker()).lease;

    client.link.release();
    let late = block_on(held).unwrap_or_else(|error| panic!("{error:?}")).items;

    assert!(matches!(late[..], [Finished::LeaseLost { .. }]), "{late:?}");
    assert_eq!((t.state(id), t.complete(&fresh)), (JobState::Running, COMPLETED));
}

fn renew_repeated_after_a_lost_reply_gives_back_once(t: &Fixture) {
    let client = Client::new(t);
    let id = t.put(t.job());
    client.take();
    client.link.script(Operation::Renew, [LOST]);

    let reply = client.insist(|link, call| link.renew(call, RenewRequest::new(client.worker, Vec::new())));

    assert!(reply.given_back.is_empty());
    assert_eq!((t.state(id), t.look(id).attempt, t.runs(id).len()), (JobState::Available, 0, 1));
}

fn record_repeated_after_a_lost_reply_is_accepted(t: &Fixture) {
    let client = Client::new(t);
    let id = t.put(t.job());
    let mut request = RecordRequest::new(client.take().lease);
    request.progress = Some(40);
    client.link.script(Operation::Record, [LOST]);

    client.insist(|link, call| link.record(call, request.clone()));

    assert_eq!(t.look(id).progress, Some(40));
}

fn cancel_repeated_after_a_lost_reply_is_one_cancel(t: &Fixture) {
    let client = Client::new(t);
    let id = t.put(t.job());
    client.link.script(Operation::Cancel, [LOST]);

    client.insist(|link, call| link.cancel(call, VerbRequest::ids(vec![id])));

    let cancels = t.events(id).iter().filter(|event| event.what == "cancel").count();
    assert_eq!((t.state(id), cancels), (JobState::Cancelled, 1));
}

fn retry_by_hand_repeated_after_a_lost_reply_is_one_retry(t: &Fixture) {
    let client = Client::new(t);
    let id = t.put(t.job());
    t.cancel(id);
    client.link.script(Operation::Retry, [LOST]);

    client.insist(|link, call| link.retry(call, VerbRequest::ids(vec![id])));

    assert_eq!(t.fetch(client.worker, 5).len(), 1);
}

fn register_repeated_after_a_lost_reply_is_one_worker(t: &Fixture) {
    let client = Client::new(t);
    let registration = t.registration(WorkerId::random());
    client.link.script(Operation::RegisterWorker, [LOST]);

    client.insist(|link, call| link.register_worker(call, registration.clone()));

    assert_eq!(t.workers().iter().filter(|record| record.id == registration.worker).count(), 1);
}

fn retire_repeated_after_a_lost_reply_refunds_once(t: &Fixture) {
    let client = Client::new(t);
    let id = t.put(t.job());
    t.fail(&client.take().lease, Duration::ZERO);
    t.promote();
    client.take();
    client.link.script(Operation::RetireWorker, [LOST]);

    client.insist(|link, call| link.retire_worker(call, client.worker));

    assert_eq!((t.state(id), t.look(id).attempt, t.look(id).run), (JobState::Available, 1, 2));
}

fn rescue_repeated_after_a_lost_reply_counts_each_crash_once(t: &Fixture) {
    let id = t.put(t.job());
    t.take(t.worker());
    t.advance(Fixture::LEASE + Duration::from_millis(1));
    let client = Client::new(t);
    client.link.script(Operation::Rescue, [LOST]);

    client.insist(|link, call| link.rescue(call, 100));

    assert_eq!((t.state(id), t.look(id).crashes), (JobState::Available, 1));
}

/// A hundred jobs through a link on which every third call fails, half of those after the fact.
fn client_over_a_faulty_link_runs_every_job_once(t: &Fixture) {
    let client = Arc::new(Client::new(t));
    let faults = vec![LOST, Fault::Fail(BackendErrorKind::Unavailable)];
    client.link.randomly(0x0061_7269_7374, 333, faults);
    let jobs: Vec<_> = (0..100).map(|_| t.job()).collect();
    for batch in jobs.chunks(7) {
        client.enqueue(batch);
    }

    loop {
        let fetched = client.fetch(t.next_claim(), 7);
        if fetched.is_empty() {
            break;
        }
        for job in fetched {
            assert_eq!((job.attempt, job.lease.run), (1, 1));
            let end = client.finish(&FinishItem::complete(job.lease));
            assert!(matches!(end, COMPLETED | Finished::AlreadyAccepted), "{end:?}");
        }
    }

    client.link.heal();
    assert_eq!(t.count(JobFilter::new().state(JobState::Completed)), 100);
    assert!(jobs.iter().all(|job| t.runs(job.id).len() == 1));
    assert!(client.link.faults(Operation::Finish) > 0, "the link was to fail");
}
