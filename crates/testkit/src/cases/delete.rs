//! Removal by hand.

use std::time::Duration;

use gristmill_core::{JobFilter, JobState, Verdict};

use crate::case::cases;
use crate::{Fixture, Shape};

cases! { "delete":
    delete_removes_a_job_in_any_state_but_running,
    delete_of_a_running_job_is_refused,
    delete_removes_the_history,
    delete_of_no_job_is_not_found,
    delete_twice_is_not_found_the_second_time,
    delete_of_a_job_keeps_its_neighbours,
    delete_everywhere_reaches_every_match,
    delete_survives_reopening needs Durable,
}

const MINUTE: Duration = Duration::from_secs(60);

fn delete_removes_a_job_in_any_state_but_running(t: &Fixture) {
    let worker = t.worker();
    let retryable = t.put(t.job());
    t.fail(&t.take(worker).lease, MINUTE);
    let completed = t.put(t.job());
    t.complete(&t.take(worker).lease);
    let scheduled = t.put(t.job().due_in(MINUTE));
    let suspended = t.put(t.job().suspended());
    for id in [retryable, completed, scheduled, suspended, t.put(t.job())] {
        assert_eq!(t.delete(id), Verdict::Done);
        assert_eq!(t.find(id), None);
    }

    t.advance(2 * MINUTE);
    assert_eq!(t.promote().done, 0);
    assert!(t.fetch(t.worker(), 5).is_empty());
}

fn delete_of_a_running_job_is_refused(t: &Fixture) {
    let id = t.put(t.job());
    let lease = t.take(t.worker()).lease;

    assert_eq!(t.delete(id), Verdict::Refused(JobState::Running));

    t.complete(&lease);
    assert_eq!(t.state(id), JobState::Completed);
}

fn delete_removes_the_history(t: &Fixture) {
    let id = t.put(t.job());
    t.give_back(&t.take(t.worker()).lease);
    t.cancel(id);

    t.delete(id);

    assert!(t.runs(id).is_empty() && t.events(id).is_empty());
}

fn delete_of_no_job_is_not_found(t: &Fixture) {
    assert_eq!(t.delete(t.next_id()), Verdict::NotFound);
}

fn delete_twice_is_not_found_the_second_time(t: &Fixture) {
    let id = t.put(t.job());
    t.delete(id);

    assert_eq!(t.delete(id), Verdict::NotFound);
}

fn delete_of_a_job_keeps_its_neighbours(t: &Fixture) {
    let ids = t.put_many(3);

    t.delete(ids[1]);

    t.assert_states(&[ids[0], ids[2]], JobState::Available);
}

fn delete_everywhere_reaches_every_match(t: &Fixture) {
    t.put_many(12);
    let spared = t.put(t.job().queue("other"));
    let filter = JobFilter::new().queue(crate::fixture::name(Fixture::QUEUE));

    t.everywhere(&filter, 5, |t, request| t.must(|backend, call| backend.delete(call, request)));

    assert_eq!((t.count(filter), t.state(spared)), (0, JobState::Available));
}

fn delete_survives_reopening(t: &Fixture) {
    let id = t.put(t.job());
    t.delete(id);

    t.reopen();

    assert_eq!(t.find(id), None);
}
