//! Many threads that do everything at once: at the end every job is accounted for.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use gristmill_core::{
    Decision, Ending, FetchRequest, FinishItem, Finished, JobFilter, JobId, JobState, LeaseToken, Order,
    QueueWant, Verdict, WorkerId,
};

use crate::case::cases;
use crate::fixture::name;
use crate::{Fixture, Shape, block_on};

cases! { "load":
    load_of_eight_workers_ends_each_job_once,
    load_of_workers_that_give_up_loses_no_job,
    load_of_cancels_ends_each_job_once,
    load_of_long_lists_holds_up_no_fetch,
}

const THREADS: usize = 8;
const JOBS_A_THREAD: usize = 40;
const JOBS: usize = THREADS * JOBS_A_THREAD;

/// How a run ends: mostly it does not end the job.
fn ends(lease: gristmill_core::Lease) -> FinishItem {
    let (decision, ending) = match fastrand::u8(..6) {
        0 => (Decision::RetryAfter(Duration::ZERO), Ending::Failed),
        1 => (Decision::GiveBackAfter(Duration::ZERO), Ending::Released),
        2 => (Decision::SnoozeAfter(Duration::ZERO), Ending::Snoozed),
        _ => (Decision::Complete, Ending::Completed),
    };
    FinishItem::new(lease, decision, ending)
}

/// Enqueues a thread's share, one half alone and one half in batches.
fn enqueue_share(t: &Fixture) {
    for _ in 0..JOBS_A_THREAD / 2 {
        t.put(t.job().attempts(1_000));
    }
    for _ in 0..JOBS_A_THREAD / 10 {
        t.enqueue((0..5).map(|_| t.job().attempts(1_000)).collect());
    }
}

/// Runs one thread's part on each of [`THREADS`] threads.
fn on_every_thread(part: impl Fn(usize) + Sync) {
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..THREADS)
            .map(|number| {
                let part = &part;
                scope.spawn(move || part(number))
            })
            .collect();
        for handle in handles {
            handle.join().expect("a thread of the load failed");
        }
    });
}

/// Every job ended in `state`, each of its runs under a token and number of its own, and the last one ended
/// it.
fn assert_accounted(t: &Fixture, state: JobState) {
    let ids = t.list(&JobFilter::new(), Order::OldestFirst, 100);
    assert_eq!((ids.len(), t.count(JobFilter::new().state(state))), (JOBS, JOBS as u64));
    for id in ids {
        let (job, runs) = (t.look(id), t.runs(id));
        let numbers: Vec<u32> = runs.iter().map(|run| run.run).collect();
        assert_eq!(numbers, (1..=job.run).collect::<Vec<_>>(), "the runs of job {id}");
        let terminal = runs.iter().filter(|run| run.state.is_terminal()).count();
        assert!(terminal <= 1 && (job.run == 0 || terminal == 1), "job {id} ended {terminal} times");
        let spent = runs.iter().filter(|run| !matches!(run.ending, Ending::Released | Ending::Snoozed));
        assert_eq!(usize::from(job.attempt), spent.count(), "the attempts of job {id}");
    }
    let audit = t.must(|backend, call| backend.audit(call, None, JOBS + 1));
    assert!(audit.repaired.is_empty(), "jobs were in no place: {audit:?}");
}

fn load_of_eight_workers_ends_each_job_once(t: &Fixture) {
    let ended = AtomicUsize::new(0);

    on_every_thread(|_| {
        let worker = t.worker();
        enqueue_share(t);
        while ended.load(Ordering::SeqCst) < JOBS {
            t.promote();
            let items = t.fetch(worker, 5).into_iter().map(|job| ends(job.lease)).collect();
            let accepted = Finished::Accepted { state: JobState::Completed };
            let done = t.finish_all(items).into_iter().filter(|end| *end == accepted).count();
            ended.fetch_add(done, Ordering::SeqCst);
        }
        t.retire(worker);
    });

    assert_eq!(ended.into_inner(), JOBS, "a job was completed twice");
    assert_accounted(t, JobState::Completed);
}

/// Workers forget claims, retire in the middle and start again. None may finish a job that passed to another
/// worker.
fn load_of_workers_that_give_up_loses_no_job(t: &Fixture) {
    let ended = AtomicUsize::new(0);

    on_every_thread(|number| {
        let mut worker = t.worker();
        enqueue_share(t);
        while ended.load(Ordering::SeqCst) < JOBS {
            t.promote();
            let jobs = t.fetch(worker, 3);
            let gives_up = fastrand::u8(..4) == 0;
            if gives_up && number % 2 == 0 {
                t.retire(worker);
                worker = t.worker();
            } else if gives_up {
                t.renew(worker, &[]);
            }
            let items = jobs.into_iter().map(|job| FinishItem::complete(job.lease)).collect();
            for end in t.finish_all(items) {
                assert_eq!(gives_up, matches!(end, Finished::LeaseLost { .. }), "{end:?}");
                ended.fetch_add(usize::from(!gives_up), Ordering::SeqCst);
            }
        }
        t.retire(worker);
    });

    assert_eq!(ended.into_inner(), JOBS, "a job was completed twice");
    assert_accounted(t, JobState::Completed);
}

/// Half of the threads cancel what the other half runs; every answer agrees with where the job went.
fn load_of_cancels_ends_each_job_once(t: &Fixture) {
    let ids: Vec<JobId> = (0..JOBS).map(|_| t.put(t.job().attempts(1_000))).collect();

    on_every_thread(|number| {
        if number % 2 == 0 {
            for id in ids.iter().skip(number / 2).step_by(THREADS / 2) {
                let verdict = t.cancel(*id);
                assert_ne!(verdict, Verdict::NotFound);
            }
            return;
        }
        let worker = t.worker();
        loop {
            t.promote();
            let jobs = t.fetch(worker, 5);
            if jobs.is_empty() {
                break;
            }
            t.finish_all(jobs.into_iter().map(|job| ends(job.lease)).collect());
        }
    });

    // What was given back last may be left; the cancels have reached all the others.
    let left: BTreeMap<JobId, LeaseToken> = {
        let worker = t.worker();
        t.promote();
        t.fetch(worker, JOBS).into_iter().map(|job| (job.lease.job, job.lease.token)).collect()
    };
    assert_eq!(left.len(), 0, "every job was cancelled, yet some may still run: {left:?}");
    for id in ids {
        let (state, runs) = (t.state(id), t.runs(id));
        assert!(matches!(state, JobState::Completed | JobState::Cancelled), "job {id} is {state}");
        assert!(runs.iter().filter(|run| run.state.is_terminal()).count() <= 1);
    }
}

/// Dashboards look at long lists while workers work.
fn load_of_long_lists_holds_up_no_fetch(t: &Fixture) {
    const PATIENCE: Duration = Duration::from_secs(5);
    for _ in 0..4 {
        t.put_many(1_000);
    }
    let (worker, over) = (WorkerId::random(), AtomicBool::new(false));
    t.register(t.registration(worker));

    on_every_thread(|number| {
        if number > 0 {
            while !over.load(Ordering::SeqCst) {
                let seen = t.list(&JobFilter::new().kind(name(Fixture::KIND)), Order::NewestFirst, 1_000);
                assert_eq!(seen.len(), 4_000, "a job was not shown");
            }
            return;
        }
        let backend = t.backend();
        for _ in 0..50 {
            let wish =
                FetchRequest::new(worker, t.next_claim(), vec![QueueWant::new(name(Fixture::QUEUE), 1)]);
            let fetched = block_on(backend.fetch(t.call().within(PATIENCE), wish));
            let jobs = fetched.unwrap_or_else(|error| panic!("lists held up a fetch: {error:?}")).jobs;
            t.complete(&jobs[0].lease);
        }
        over.store(true, Ordering::SeqCst);
    });
}
