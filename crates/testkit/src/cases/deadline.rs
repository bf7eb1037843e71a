//! Deadlines: a call that is out of time is done whole or not at all.

use std::time::Duration;

use gristmill_core::{
    Backend, BackendError, BackendErrorKind, Call, EnqueueRequest, FetchRequest, FinishItem, FinishRequest,
    JobFilter, JobState, QueueWant, RenewRequest, Reply, VerbRequest,
};

use crate::case::cases;
use crate::fixture::name;
use crate::{Fixture, block_on};

cases! { "deadline":
    deadline_of_an_enqueue_stores_all_or_nothing,
    deadline_of_a_fetch_loses_no_job,
    deadline_of_a_finish_ends_the_run_or_leaves_it,
    deadline_of_a_verb_leaves_a_job_that_can_be_asked_again,
    deadline_of_a_renewal_loses_no_claim,
    deadline_that_is_far_away_changes_nothing,
}

/// Asks with no time left. An error must say that the time was over.
fn late<T>(
    t: &Fixture,
    question: impl for<'a> FnOnce(&'a dyn Backend, Call) -> Reply<'a, T>,
) -> Result<T, BackendError> {
    let backend = t.backend();
    let reply = block_on(question(&*backend, t.call().within(Duration::ZERO)));
    if let Err(error) = &reply {
        assert_eq!(error.kind(), BackendErrorKind::TimedOut, "{error:?}");
    }
    reply
}

fn deadline_of_an_enqueue_stores_all_or_nothing(t: &Fixture) {
    for _ in 0..10 {
        let jobs: Vec<_> = (0..20).map(|_| t.job()).collect();
        let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();

        let answered = late(t, |backend, call| backend.enqueue(call, EnqueueRequest::new(jobs.clone())));

        // A later call is answered after whatever is left of the one before.
        t.enqueue(jobs);
        t.assert_states(&ids, JobState::Available);
        if let Ok(reply) = answered {
            assert_eq!(reply.jobs.len(), 20);
        }
    }
    assert_eq!(t.count(JobFilter::new()), 200);
}

fn deadline_of_a_fetch_loses_no_job(t: &Fixture) {
    let worker = t.worker();
    for _ in 0..10 {
        t.put_many(5);
        let wish = FetchRequest::new(worker, t.next_claim(), vec![QueueWant::new(name(Fixture::QUEUE), 5)]);

        let answered = late(t, |backend, call| backend.fetch(call, wish.clone()));

        // Repeated with its number it gives the same jobs, whether or not it was done.
        let jobs = t.try_fetch(wish).unwrap_or_else(|error| panic!("{error:?}")).jobs;
        assert_eq!(jobs.len(), 5);
        assert!(answered.is_err() || answered.is_ok_and(|reply| reply.jobs.len() == 5));
        t.finish_all(jobs.into_iter().map(|job| FinishItem::complete(job.lease)).collect());
    }
    assert_eq!(t.count(JobFilter::new().state(JobState::Completed)), 50);
}

fn deadline_of_a_finish_ends_the_run_or_leaves_it(t: &Fixture) {
    let worker = t.worker();
    for _ in 0..10 {
        let id = t.put(t.job());
        let mut end = FinishItem::complete(t.take(worker).lease);
        end.effects.push({
            let mut effect = t.job();
            effect.spec.queue = name("next");
            effect
        });
        let effect = end.effects[0].id;

        let _ = late(t, |backend, call| backend.finish(call, FinishRequest::new(vec![end.clone()])));

        let both = (t.state(id), t.find(effect).is_some());
        assert!(
            matches!(both, (JobState::Completed, true) | (JobState::Running, false)),
            "half of a finish was done: {both:?}"
        );
        t.finish(end);
        assert_eq!((t.state(id), t.state(effect)), (JobState::Completed, JobState::Available));
    }
}

fn deadline_of_a_verb_leaves_a_job_that_can_be_asked_again(t: &Fixture) {
    let id = t.put(t.job());

    let _ = late(t, |backend, call| backend.cancel(call, VerbRequest::ids(vec![id])));

    t.cancel(id);
    let cancels = t.events(id).iter().filter(|event| event.what == "cancel").count();
    assert_eq!((t.state(id), cancels), (JobState::Cancelled, 1));
}

fn deadline_of_a_renewal_loses_no_claim(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    let lease = t.take(worker).lease;

    let _ = late(t, |backend, call| backend.renew(call, RenewRequest::new(worker, vec![lease.claim])));

    assert!(t.renew(worker, &[lease.claim]).lost.is_empty());
    assert_eq!(t.state(id), JobState::Running);
}

fn deadline_that_is_far_away_changes_nothing(t: &Fixture) {
    let backend = t.backend();
    let jobs = EnqueueRequest::new(vec![t.job()]);

    let reply = block_on(backend.enqueue(t.call().within(Duration::MAX), jobs));

    assert!(reply.is_ok(), "{reply:?}");
}
