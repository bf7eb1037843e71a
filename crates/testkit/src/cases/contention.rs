//! Many at once: threads that want the same thing.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::time::Duration;

use gristmill_core::{
    Enqueued, ExistingBy, FinishItem, Finished, JobFilter, JobId, JobState, PauseRequest, QueueWant, Verdict,
};

use crate::case::cases;
use crate::fixture::name;
use crate::{Fixture, Shape};

cases! { "contention":
    contention_of_fetchers_gives_each_job_once,
    contention_of_producers_loses_no_job,
    contention_of_producers_and_consumers_runs_each_job_once,
    contention_for_a_unique_key_stores_one_job,
    contention_for_one_id_stores_one_job,
    contention_of_repeated_fetches_gives_one_set_of_leases,
    contention_of_repeated_fetches_of_two_queues_keeps_no_lease_back,
    contention_of_repeated_finishes_accepts_one,
    contention_of_rescuers_rescues_each_job_once,
    contention_of_finish_and_rescue_ends_the_run_once,
    contention_of_cancel_and_fetch_runs_the_job_or_cancels_it,
    contention_of_cancel_and_finish_ends_the_job_once,
    contention_of_two_retries_by_hand_gives_one_run,
    contention_of_promoters_promotes_each_job_once,
    contention_of_pruners_deletes_each_job_once,
    contention_of_renewal_and_finish_keeps_the_finish,
    contention_of_pause_and_fetch_loses_no_job,
}

const THREADS: usize = 4;
/// Each race is run this often: one run may miss the narrow place.
const ROUNDS: usize = 20;

/// Runs the same on several threads, all starting at once, and gives what each says.
pub(super) fn race<T: Send>(run: impl Fn(usize) -> T + Sync) -> Vec<T> {
    race_of(THREADS, run)
}

pub(super) fn race_of<T: Send>(threads: usize, run: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let start = Barrier::new(threads);
    std::thread::scope(|scope| {
        let spawn = |number| {
            let (start, run) = (&start, &run);
            scope.spawn(move || {
                start.wait();
                run(number)
            })
        };
        let handles: Vec<_> = (0..threads).map(spawn).collect();
        handles.into_iter().map(|handle| handle.join().expect("a thread of the race failed")).collect()
    })
}

fn contention_of_fetchers_gives_each_job_once(t: &Fixture) {
    let expected: BTreeSet<JobId> = t.put_many(200).into_iter().collect();

    let fetched = race(|_| {
        let worker = t.worker();
        let mut mine = Vec::new();
        loop {
            let jobs = t.fetch(worker, 7);
            if jobs.is_empty() {
                return mine;
            }
            mine.extend(jobs.into_iter().map(|job| job.lease.job));
        }
    });

    let all: Vec<JobId> = fetched.concat();
    assert_eq!(all.len(), 200, "a job was given twice or not at all");
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), expected);
}

fn contention_of_producers_loses_no_job(t: &Fixture) {
    race(|_| {
        for _ in 0..ROUNDS {
            t.put_many(5);
            t.put(t.job());
        }
    });

    assert_eq!(t.count(JobFilter::new()), (THREADS * ROUNDS * 6) as u64);
}

fn contention_of_producers_and_consumers_runs_each_job_once(t: &Fixture) {
    let jobs = 150;

    let runs = race(|number| {
        if number == 0 {
            for _ in 0..jobs {
                t.put(t.job());
            }
            return 0;
        }
        let worker = t.worker();
        let mut accepted = 0;
        while t.count(JobFilter::new().state(JobState::Completed)) < jobs {
            let ends = t.fetch(worker, 5).into_iter().map(|job| FinishItem::complete(job.lease)).collect();
            let done = Finished::Accepted { state: JobState::Completed };
            accepted += t.finish_all(ends).into_iter().filter(|end| *end == done).count() as u64;
        }
        accepted
    });

    assert_eq!(runs.iter().sum::<u64>(), jobs);
}

/// Two source designs looked for the key first and inserted then; two producers at once stored two jobs.
fn contention_for_a_unique_key_stores_one_job(t: &Fixture) {
    for round in 0..ROUNDS {
        let replies = race_of(2 * THREADS, |_| {
            let job = t.job().key(&format!("key {round}"));
            (job.id, t.enqueue(vec![job]).remove(0))
        });

        let created: Vec<JobId> =
            replies.iter().filter(|(_, reply)| *reply == Enqueued::Created).map(|(id, _)| *id).collect();
        assert_eq!(created.len(), 1, "{replies:?}");
        let learned = Enqueued::Existing { id: created[0], by: ExistingBy::UniqueKey };
        let others = replies.iter().filter(|(id, _)| *id != created[0]);
        assert!(
            others.into_iter().all(|(_, reply)| *reply == learned),
            "all learn the one winner: {replies:?}"
        );
    }
    assert_eq!(t.count(JobFilter::new()), ROUNDS as u64);
}

fn contention_for_one_id_stores_one_job(t: &Fixture) {
    for _ in 0..ROUNDS {
        let job = t.job();
        let replies = race(|_| t.enqueue(vec![job.clone()]).remove(0));

        assert_eq!(replies.iter().filter(|reply| **reply == Enqueued::Created).count(), 1, "{replies:?}");
    }
}

fn contention_of_repeated_fetches_gives_one_set_of_leases(t: &Fixture) {
    let worker = t.worker();
    for _ in 0..ROUNDS {
        t.put_many(3);
        let claim = t.next_claim();

        let mut replies = race(|_| {
            let mut jobs = t.fetch_claim(worker, claim, Fixture::QUEUE, 3).jobs;
            jobs.sort_by_key(|job| job.lease.job);
            jobs
        });

        let first = replies.remove(0);
        assert_eq!(first.len(), 3);
        assert!(replies.iter().all(|other| *other == first), "{first:?} {replies:?}");
        t.finish_all(first.into_iter().map(|job| FinishItem::complete(job.lease)).collect());
    }
}

/// A call that takes jobs beside another one of its number gives those of the other, too: its reply may be
/// the only one that comes through.
fn contention_of_repeated_fetches_of_two_queues_keeps_no_lease_back(t: &Fixture) {
    let worker = t.worker();
    t.put(t.job().queue("late"));
    for _ in 0..ROUNDS {
        t.put_many(3);
        let claim = t.next_claim();
        let wants = || vec![QueueWant::new(name(Fixture::QUEUE), 9), QueueWant::new(name("late"), 9)];

        let replies = race(|number| {
            if number == 0 {
                t.put(t.job().queue("late"));
            }
            let jobs = t.fetch_wants(worker, claim, wants()).jobs;
            jobs.into_iter().map(|job| job.lease.job).collect::<BTreeSet<JobId>>()
        });

        let all = t.fetch_wants(worker, claim, wants()).jobs;
        let most = replies.iter().max_by_key(|jobs| jobs.len()).expect("there are replies");
        assert_eq!(most, &all.iter().map(|job| job.lease.job).collect());
        assert!(replies.iter().all(|jobs| jobs.is_subset(most)), "{replies:?}");
        assert!(replies.iter().all(|jobs| jobs.len() >= 3), "{replies:?}");
        t.finish_all(all.into_iter().map(|job| FinishItem::complete(job.lease)).collect());
    }
}

fn contention_of_repeated_finishes_accepts_one(t: &Fixture) {
    let worker = t.worker();
    for _ in 0..ROUNDS {
        let id = t.put(t.job());
        let mut end = FinishItem::complete(t.take(worker).lease);
        end.effects.push(t.job().queue("next"));

        let replies = race(|_| t.finish(end.clone()));

        let accepted = Finished::Accepted { state: JobState::Completed };
        assert_eq!(replies.iter().filter(|reply| **reply == accepted).count(), 1, "{replies:?}");
        let repeats = replies.iter().filter(|reply| **reply == Finished::AlreadyAccepted).count();
        assert_eq!((repeats, t.runs(id).len()), (THREADS - 1, 1));
    }
    assert_eq!(t.count(JobFilter::new().queue(name("next"))), ROUNDS as u64);
}

fn contention_of_rescuers_rescues_each_job_once(t: &Fixture) {
    let ids = t.put_many(20);
    let worker = t.worker();
    for _ in 0..10 {
        t.fetch(worker, 2);
    }
    t.advance(Fixture::LEASE + Duration::from_millis(1));

    let rescued: Vec<JobId> = race(|_| {
        let jobs = t.rescue().jobs;
        jobs.into_iter().map(|job| job.id).collect::<Vec<_>>()
    })
    .concat();

    assert_eq!(rescued.len(), 20, "a job was rescued twice or not at all");
    for id in ids {
        assert_eq!((t.state(id), t.look(id).attempt, t.runs(id).len()), (JobState::Available, 1, 1));
    }
}

/// A rescue that acts on what it saw before a finish had committed puts a finished job back.
fn contention_of_finish_and_rescue_ends_the_run_once(t: &Fixture) {
    for _ in 0..ROUNDS {
        let ids = t.put_many(5);
        let jobs = t.fetch(t.worker(), 5);
        let ends: Vec<_> = jobs.into_iter().map(|job| FinishItem::complete(job.lease)).collect();
        t.advance(Fixture::LEASE + Duration::from_millis(1));

        let finished =
            race(|number| if number == 0 { t.finish_all(ends.clone()) } else { (t.rescue(), Vec::new()).1 });

        for (id, end) in ids.iter().zip(finished.concat()) {
            let expected = match end {
                Finished::Accepted { .. } => JobState::Completed,
                Finished::AlreadyAccepted | Finished::LeaseLost { .. } | Finished::Busy => {
                    JobState::Available
                }
            };
            assert_eq!((t.state(*id), t.runs(*id).len()), (expected, 1), "{end:?}");
            t.delete(*id);
        }
    }
}

fn contention_of_cancel_and_fetch_runs_the_job_or_cancels_it(t: &Fixture) {
    let worker = t.worker();
    for _ in 0..ROUNDS {
        let id = t.put(t.job());

        let outcomes = race_of(2, |number| {
            if number == 0 { (Some(t.cancel(id)), Vec::new()) } else { (None, t.fetch(worker, 1)) }
        });

        let (verdict, fetched) = (outcomes[0].0.clone(), &outcomes[1].1);
        match verdict {
            Some(Verdict::Done) => assert!(fetched.is_empty(), "a cancelled job was given to a worker"),
            Some(Verdict::Requested) => {
                assert_eq!(t.complete(&fetched[0].lease), Finished::Accepted { state: JobState::Cancelled });
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(t.state(id), JobState::Cancelled);
    }
}

fn contention_of_cancel_and_finish_ends_the_job_once(t: &Fixture) {
    let worker = t.worker();
    for _ in 0..ROUNDS {
        let id = t.put(t.job());
        let lease = t.take(worker).lease;

        let outcomes = race_of(2, |number| {
            if number == 0 { (Some(t.cancel(id)), None) } else { (None, Some(t.complete(&lease))) }
        });

        let expected = match &outcomes[0].0 {
            Some(Verdict::Requested) => JobState::Cancelled,
            Some(Verdict::AlreadyTerminal) => JobState::Completed,
            other => panic!("{other:?}"),
        };
        assert_eq!((t.state(id), t.runs(id).len()), (expected, 1));
        assert_eq!(outcomes[1].1, Some(Finished::Accepted { state: expected }));
    }
}

fn contention_of_two_retries_by_hand_gives_one_run(t: &Fixture) {
    let worker = t.worker();
    for _ in 0..ROUNDS {
        let id = t.put(t.job());
        t.cancel(id);

        let verdicts = race(|_| t.retry(id));

        assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Done), "{verdicts:?}");
        let jobs = t.fetch(worker, 5);
        assert_eq!(jobs.len(), 1);
        t.complete(&jobs[0].lease);
    }
}

fn contention_of_promoters_promotes_each_job_once(t: &Fixture) {
    for _ in 0..50 {
        t.put(t.job().due_in(Duration::from_secs(1)));
    }
    t.advance(Duration::from_secs(1));

    let promoted: u64 = race(|_| t.promote().done).into_iter().sum();

    assert_eq!((promoted, t.fetch(t.worker(), 100).len()), (50, 50));
}

fn contention_of_pruners_deletes_each_job_once(t: &Fixture) {
    for _ in 0..50 {
        t.cancel(t.put(t.job().kept(Duration::from_secs(1))));
    }
    let spared = t.put(t.job());
    t.advance(Duration::from_secs(2));

    let pruned: u64 = race(|_| t.prune().done).into_iter().sum();

    assert_eq!((pruned, t.state(spared)), (50, JobState::Available));
}

fn contention_of_renewal_and_finish_keeps_the_finish(t: &Fixture) {
    let worker = t.worker();
    for _ in 0..ROUNDS {
        let ids = t.put_many(4);
        let jobs = t.fetch(worker, 4);
        let claim = jobs[0].lease.claim;
        let ends: Vec<_> = jobs.into_iter().map(|job| FinishItem::complete(job.lease)).collect();

        race_of(2, |number| {
            if number == 0 {
                t.finish_all(ends.clone());
            } else {
                assert!(t.renew(worker, &[claim]).given_back.is_empty());
            }
        });

        t.assert_states(&ids, JobState::Completed);
    }
}

fn contention_of_pause_and_fetch_loses_no_job(t: &Fixture) {
    let worker = t.worker();
    t.put_many(ROUNDS);
    let mut fetched = 0;

    for _ in 0..ROUNDS {
        let counts = race_of(2, |number| {
            if number == 0 {
                t.must(|backend, call| backend.pause(call, PauseRequest::new(name(Fixture::QUEUE))));
                return 0;
            }
            t.fetch(worker, 1).len()
        });
        fetched += counts[1];
        assert!(t.fetch(worker, 1).is_empty(), "a paused queue gave a job");
        t.resume(Fixture::QUEUE);
    }

    assert_eq!(fetched + t.fetch(worker, ROUNDS).len(), ROUNDS);
}
