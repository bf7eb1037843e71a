//! What a fetch of many jobs says of each of them.

use std::time::Duration;

use gristmill_core::{FinishItem, Finished, JobState};

use crate::case::cases;
use crate::{Fixture, Shape};

cases! { "batch":
    batch_gives_each_job_its_own_spec_among_jobs_of_other_queues,
    batch_counts_the_attempt_and_the_run_of_each,
}

/// A backend may read the rows of neighbouring jobs together; most of the neighbours here are not to be
/// fetched.
fn batch_gives_each_job_its_own_spec_among_jobs_of_other_queues(t: &Fixture) {
    let worker = t.worker();
    for round in 0..3 {
        let mine = |n: usize| t.job().kind(["one", "two"][n % 2]).args(&format!("[{round},{n}]"));
        let mut jobs = Vec::new();
        for n in 0..50 {
            jobs.push(mine(n));
            jobs.extend((0..=round * 3).map(|_| t.job().queue("other").args(r#""foreign""#)));
        }
        let mut expected: Vec<_> =
            jobs.iter().filter(|job| job.spec.queue.as_str() == Fixture::QUEUE).collect();
        t.enqueue(jobs.clone());

        let mut fetched = t.fetch(worker, 100);

        expected.sort_by_key(|job| job.id);
        fetched.sort_by_key(|job| job.lease.job);
        assert_eq!(fetched.len(), expected.len());
        for (fetched, expected) in fetched.iter().zip(expected) {
            assert_eq!((fetched.lease.job, &fetched.spec), (expected.id, &expected.spec.clone().into()));
        }
    }
}

fn batch_counts_the_attempt_and_the_run_of_each(t: &Fixture) {
    let worker = t.worker();
    let failed = t.put(t.job().priority(2));
    t.fail(&t.take(worker).lease, Duration::ZERO);
    let crashed = t.put(t.job());
    t.take(worker);
    t.crash();
    t.promote();
    let new = t.put(t.job().priority(2));

    let mut fetched = t.fetch(t.worker(), 9);

    fetched.sort_by_key(|job| job.lease.job);
    let seen: Vec<_> = fetched
        .iter()
        .map(|job| (job.lease.job, job.attempt, job.lease.run, job.crashes, job.spec.priority.get()))
        .collect();
    assert_eq!(seen, [(failed, 2, 2, 0, 2), (crashed, 2, 2, 1, 0), (new, 1, 1, 0, 2)]);
    let ended = t.finish_all(fetched.into_iter().map(|job| FinishItem::complete(job.lease)).collect());
    assert!(
        ended.iter().all(|ended| *ended == Finished::Accepted { state: JobState::Completed }),
        "{ended:?}"
    );
    let last = |id| t.runs(id).last().map(|run| (run.run, run.attempt));
    assert_eq!([last(failed), last(crashed), last(new)], [Some((2, 2)), Some((2, 2)), Some((1, 1))]);
}
