//! What is stored with a register, and changes that race.

use std::time::Duration;

use gristmill_core::{
    Change, Committed, Enqueued, ExistingBy, Expect, JobFilter, JobId, JobState, NewJob, Register, Stamp,
};

use super::contention::{race, race_of};
use crate::case::cases;
use crate::fixture::name;
use crate::fixture::register::{SPACE, change, created, made, value};
use crate::{Fixture, Shape};

cases! { "effects":
    commit_stores_jobs_with_the_register,
    commit_that_is_stale_stores_no_job,
    commit_repeated_stores_its_jobs_once,
    commit_is_recognised_after_the_end_that_it_gave_the_register,
    commit_repeated_after_its_jobs_have_gone_stores_none,
    commit_answers_for_jobs_that_exist_and_stores_the_others,
    commit_of_an_invalid_job_stores_nothing_and_spares_its_neighbours,
    commit_of_jobs_with_a_condition_that_repeats_is_refused,
    commit_of_an_absent_register_is_won_by_one_of_many,
    commit_of_one_stamp_is_won_by_one_of_many,
    commit_of_the_same_registers_in_opposite_order_decides_each_once,
    commit_of_many_writers_lets_each_through,
}

fn commit_stores_jobs_with_the_register(t: &Fixture) {
    let (now, later) = (t.job(), t.job().due_in(Duration::from_secs(60)));
    let ids = [now.id, later.id];

    let answer = t.commit(made("key").with_jobs(vec![now, later]));

    assert_eq!(answer, created(2));
    assert_eq!(t.state(ids[0]), JobState::Available);
    assert_eq!(t.state(ids[1]), JobState::Scheduled);
    let worker = t.worker();
    assert_eq!(t.take(worker).lease.job, ids[0]);
}

/// RR1.
fn commit_that_is_stale_stores_no_job(t: &Fixture) {
    t.make(made("key"));

    let answer = t.commit(made("key").with_jobs(vec![t.job().key("unique"), t.job()]));

    assert!(matches!(answer, Committed::Stale(Some(_))), "{answer:?}");
    assert_eq!(t.count(JobFilter::new()), 0);
    assert_eq!(t.enqueue(vec![t.job().key("unique")]), [Enqueued::Created]);
}

/// RR3.
fn commit_repeated_stores_its_jobs_once(t: &Fixture) {
    let first = made("key").with_jobs(vec![t.job(), t.job().key("unique")]);

    assert_eq!(t.commit(first.clone()), created(2));
    assert_eq!(t.commit(first), Committed::Again);

    assert_eq!(t.count(JobFilter::new()), 2);
}

/// RR3, RR6.
fn commit_is_recognised_after_the_end_that_it_gave_the_register(t: &Fixture) {
    let second = Duration::from_secs(1);
    let ends = change("key", Expect::Absent, value("first").forget_at(t.now() + 5 * second));
    let ends = ends.with_jobs(vec![t.job()]);
    assert_eq!(t.commit(ends.clone()), created(1));

    t.advance(6 * second);
    assert_eq!(t.commit(ends), Committed::Again);

    let far = change("far", Expect::Absent, value("far").forget_at(t.now() + Register::LONGEST));
    t.make(far.clone());
    t.go_back(second);
    assert_eq!(t.commit(far), Committed::Again);
}

/// RR3.
fn commit_repeated_after_its_jobs_have_gone_stores_none(t: &Fixture) {
    let first = made("key").with_jobs(vec![t.job().kept(Duration::ZERO)]);
    t.commit(first.clone());
    let worker = t.worker();
    t.complete(&t.take(worker).lease);
    assert_eq!(t.count(JobFilter::new()), 0, "it ran and was erased");

    assert_eq!(t.commit(first), Committed::Again);

    assert_eq!(t.count(JobFilter::new()), 0);
}

/// RR8.
fn commit_answers_for_jobs_that_exist_and_stores_the_others(t: &Fixture) {
    let holder = t.put(t.job().key("unique"));
    let there = t.put(t.job());
    let twice = t.job();
    let again = NewJob::new(there, t.job().spec);
    let jobs = vec![again, t.job().key("unique"), twice.clone(), twice.clone(), t.job()];

    let answer = t.commit(made("key").with_jobs(jobs));

    let existing = |id: JobId, by| Some(Enqueued::Existing { id, by });
    assert_eq!(
        answer,
        Committed::Done(vec![
            existing(there, ExistingBy::Id),
            existing(holder, ExistingBy::UniqueKey),
            Some(Enqueued::Created),
            existing(twice.id, ExistingBy::Id),
            Some(Enqueued::Created),
        ])
    );
    assert_eq!(t.count(JobFilter::new()), 4);
}

/// RR8.
fn commit_of_an_invalid_job_stores_nothing_and_spares_its_neighbours(t: &Fixture) {
    let mut invalid = t.job();
    invalid.spec.timeout = Some(Duration::ZERO);

    let answers = t.commit_all(vec![
        made("bad").with_jobs(vec![t.job(), invalid]),
        made("good").with_jobs(vec![t.job()]),
    ]);

    let Committed::Refused { why } = &answers[0] else { panic!("{:?}", answers[0]) };
    assert!(why.contains(SPACE) && why.contains("timeout"), "{why}");
    assert_eq!(answers[1], created(1));
    assert_eq!((t.find_register(SPACE, "bad"), t.count(JobFilter::new())), (None, 1));
}

fn commit_of_jobs_with_a_condition_that_repeats_is_refused(t: &Fixture) {
    let any = change("any", Expect::Any, value("first")).with_jobs(vec![t.job()]);
    let gone = change("gone", Expect::Absent, value("gone").forget_at(t.now())).with_jobs(vec![t.job()]);

    for answer in t.commit_all(vec![any, gone]) {
        assert!(matches!(&answer, Committed::Refused { why } if why.contains("effects")), "{answer:?}");
    }

    assert_eq!(t.count(JobFilter::new()), 0);
}

/// RR1.
fn commit_of_an_absent_register_is_won_by_one_of_many(t: &Fixture) {
    for round in 0..20 {
        let key = format!("key {round}");
        let answers = race(|_| {
            let put = value("first");
            let change = Change::new(name(SPACE), key.clone(), Expect::Absent, put.clone());
            (put, t.commit(change.with_jobs(vec![t.job(), t.job().key(&key)])))
        });

        let winners: Vec<&Register> =
            answers.iter().filter(|(_, answer)| *answer == created(2)).map(|(put, _)| put).collect();
        assert_eq!(winners.len(), 1, "{answers:?}");
        let stale = Committed::Stale(Some(winners[0].clone()));
        let losers = answers.iter().filter(|(_, answer)| *answer == stale).count();
        assert_eq!(losers, answers.len() - 1, "{answers:?}");
        assert_eq!(t.count(JobFilter::new()), 2 * (round + 1));
    }
}

/// RR2.
fn commit_of_one_stamp_is_won_by_one_of_many(t: &Fixture) {
    let mut read = t.make(made("key"));
    for round in 0..20 {
        let answers = race(|_| {
            let put = value("next");
            let next = change("key", Expect::Stamp(read), put.clone()).with_jobs(vec![t.job()]);
            (put.stamp, t.commit(next))
        });

        let winners: Vec<Stamp> =
            answers.iter().filter(|(_, answer)| *answer == created(1)).map(|(stamp, _)| *stamp).collect();
        assert_eq!(winners.len(), 1, "{answers:?}");
        read = winners[0];
        assert_eq!(t.count(JobFilter::new()), round + 1);
    }
}

/// RR9.
fn commit_of_the_same_registers_in_opposite_order_decides_each_once(t: &Fixture) {
    const KEYS: usize = 50;
    for round in 0..4 {
        let answers = race(|thread| {
            let made = |key: usize| {
                Change::new(name(SPACE), format!("{round} {key}"), Expect::Absent, value("first"))
                    .with_jobs(vec![t.job()])
            };
            let mut changes: Vec<Change> = (0..KEYS).map(made).collect();
            if thread % 2 == 1 {
                changes.reverse();
            }
            let mut answers = t.commit_all(changes);
            if thread % 2 == 1 {
                answers.reverse();
            }
            answers
        });

        for key in 0..KEYS {
            let won = answers.iter().filter(|answers| answers[key] == created(1)).count();
            assert_eq!(won, 1, "key {key}");
        }
        assert_eq!(t.count(JobFilter::new()), (KEYS * (round + 1)) as u64);
    }
}

/// RR14.
fn commit_of_many_writers_lets_each_through(t: &Fixture) {
    const WRITERS: usize = 20;
    t.make(made("key"));

    race_of(WRITERS, |_| {
        let mut read = t.find_register(SPACE, "key").expect("it stands").stamp;
        loop {
            match t.commit(change("key", Expect::Stamp(read), value("mine")).with_jobs(vec![t.job()])) {
                Committed::Done(_) => return,
                Committed::Stale(Some(other)) => read = other.stamp,
                other => panic!("{other:?}"),
            }
        }
    });

    assert_eq!(t.count(JobFilter::new()), WRITERS as u64);
}
