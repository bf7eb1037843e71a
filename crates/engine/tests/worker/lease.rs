//! Leases that are renewed, lost, taken back.

use std::future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use gristmill_core::{
    Backend, BackendErrorKind, Call, ClaimId, EventKind, FetchRequest, JobError, JobOptions, JobState, Name,
    QueueWant, RegisterWorker, WorkerId,
};
use gristmill_engine::JobContext;
use gristmill_testkit::{Fault, Operation};
use tokio::time::Instant;

use crate::fixture::{Fixture, MILLI, SECOND, eventually, run};

type Done = Result<(), JobError>;

#[tokio::test(start_paused = true)]
async fn a_job_outlives_its_lease_while_its_worker_lives() {
    let t = Fixture::new();
    let id = t.enqueue("k").await;
    let worker = run(t.worker().lease(2 * SECOND).handle_raw("k", async |_: JobContext| {
        tokio::time::sleep(60 * SECOND).await;
        Ok::<_, JobError>(())
    }));
    t.until(id, JobState::Completed).await;
    assert_eq!((t.job(id).await.run, worker.stop().await.stats.stale_finishes), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_dead_workers_jobs_are_back_within_its_lease_and_a_second() {
    let t = Fixture::new();
    let rescued = Arc::new(AtomicU32::new(0));
    let hook = rescued.clone();
    let worker = run(t.worker().handle_raw("k", async |_: JobContext| Ok::<_, JobError>(())).on(
        EventKind::Rescued,
        move |_| {
            hook.fetch_add(1, Ordering::SeqCst);
        },
    ));
    worker.handle.quiet();
    let id = t.enqueue("k").await;
    let ghost = WorkerId::random();
    let lease = 3 * SECOND;
    t.backend.register_worker(Call::new(), RegisterWorker::new(ghost, "ghost", lease)).await.unwrap();
    let want = vec![QueueWant::new(Name::new("default").unwrap(), 1)];
    t.backend.fetch(Call::new(), FetchRequest::new(ghost, ClaimId(1), want)).await.unwrap();
    let died = Instant::now();
    worker.handle.resume();
    t.until(id, JobState::Completed).await;
    assert!(died.elapsed() <= lease + SECOND, "{:?}", died.elapsed());
    assert_eq!((rescued.load(Ordering::SeqCst), worker.stop().await.stats.rescued), (1, 1));
}

/// A worker that dies right after its start, at any moment between two looks of one whose lease is as short.
#[tokio::test(start_paused = true)]
async fn a_short_lease_is_noticed_within_a_third_of_it_after_its_end() {
    for lease in [SECOND, 2 * SECOND, 6 * SECOND] {
        for part in 0..8 {
            let t = Fixture::new();
            let worker =
                run(t.worker().lease(lease).handle_raw("k", async |_: JobContext| Ok::<_, JobError>(())));
            tokio::time::sleep(10 * SECOND + lease * part / 16).await;
            let id = t.enqueue_with("k", JobOptions::new().queue("elsewhere")).await;
            let ghost = WorkerId::random();
            t.backend.register_worker(Call::new(), RegisterWorker::new(ghost, "ghost", lease)).await.unwrap();
            let want = vec![QueueWant::new(Name::new("elsewhere").unwrap(), 1)];
            t.backend.fetch(Call::new(), FetchRequest::new(ghost, ClaimId(1), want)).await.unwrap();
            let took = t.until(id, JobState::Available).await;
            assert!(took <= lease + lease / 3, "{lease:?}: {took:?}");
            worker.stop().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_cannot_renew_stops_its_handlers_before_the_lease_ends() {
    let t = Fixture::new();
    let id = t.enqueue("k").await;
    let stopped = Arc::new(AtomicBool::new(false));
    let told = stopped.clone();
    let worker = run(t.worker().lease(10 * SECOND).handle_raw("k", move |ctx: JobContext| {
        let told = told.clone();
        async move {
            ctx.cancellation().cancelled().await;
            told.store(true, Ordering::SeqCst);
            future::pending::<Done>().await
        }
    }));
    t.until(id, JobState::Running).await;
    for operation in [Operation::Renew, Operation::Finish, Operation::Ping, Operation::Rescue] {
        t.backend.script(operation, [Fault::Fail(BackendErrorKind::Unavailable); 500]);
    }
    let began = Instant::now();
    eventually(|| stopped.load(Ordering::SeqCst)).await;
    assert!((7 * SECOND..=8 * SECOND + SECOND / 2).contains(&began.elapsed()), "{:?}", began.elapsed());
    // Dropped before the lease ends, and given back as soon as the store answers: no attempt is spent.
    eventually(|| worker.handle.in_hand() == 0).await;
    assert!(began.elapsed() < 10 * SECOND);
    t.backend.heal();
    t.until(id, JobState::Available).await;
    assert_eq!(t.job(id).await.attempt, 0);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_the_store_has_forgotten_starts_again() {
    let t = Fixture::new();
    let first = t.enqueue("slow").await;
    let builder = t
        .worker()
        .handle_raw(
            "slow",
            async |ctx: JobContext| {
                if ctx.run() == 1 { future::pending::<Done>().await } else { Ok(()) }
            },
        )
        .handle_raw("k", async |_: JobContext| Ok::<_, JobError>(()));
    let worker = run(builder);
    t.until(first, JobState::Running).await;
    let before = t.client.workers().await.unwrap()[0].id;
    t.backend.retire_worker(Call::new(), before).await.unwrap();
    t.until(first, JobState::Completed).await;
    let second = t.enqueue("k").await;
    t.until(second, JobState::Completed).await;
    assert_ne!(t.client.workers().await.unwrap()[0].id, before);
    let stats = worker.stop().await.stats;
    assert_eq!((stats.incarnations_lost, stats.completed, stats.stale_finishes), (1, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_success_after_the_lease_has_passed_on_is_stale() {
    let t = Fixture::new();
    let id = t.enqueue("k").await;
    let lost = Arc::new(AtomicU32::new(0));
    let hook = lost.clone();
    let builder = t
        .worker()
        .handle_raw("k", async |ctx: JobContext| {
            if ctx.run() == 1 {
                ctx.cancellation().cancelled().await;
            }
            Ok::<_, JobError>(())
        })
        .on(EventKind::LeaseLost, move |_| {
            hook.fetch_add(1, Ordering::SeqCst);
        });
    let worker = run(builder);
    t.until(id, JobState::Running).await;
    let ghost = t.client.workers().await.unwrap()[0].id;
    t.backend.retire_worker(Call::new(), ghost).await.unwrap();
    t.until(id, JobState::Completed).await;
    let stats = worker.stop().await.stats;
    assert_eq!((stats.stale_finishes, stats.completed, lost.load(Ordering::SeqCst)), (1, 1, 1));
    assert_eq!(t.job(id).await.run, 2);
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_nobody_is_rescued_for_one_lease() {
    let t = Fixture::new();
    let id = t.enqueue_with("k", JobOptions::new().queue("elsewhere")).await;
    let ghost = WorkerId::random();
    t.backend.register_worker(Call::new(), RegisterWorker::new(ghost, "ghost", 2 * SECOND)).await.unwrap();
    let want = vec![QueueWant::new(Name::new("elsewhere").unwrap(), 1)];
    t.backend.fetch(Call::new(), FetchRequest::new(ghost, ClaimId(1), want)).await.unwrap();
    t.backend.script(Operation::Rescue, [Fault::Fail(BackendErrorKind::Unavailable)]);
    let lease = Duration::from_secs(20);
    let worker = run(t.worker().lease(lease).handle_raw("k", async |_: JobContext| Ok::<_, JobError>(())));
    let took = t.until(id, JobState::Available).await;
    assert!((lease..lease + SECOND).contains(&took), "{took:?}");
    worker.stop().await;
}

/// A renewal that hangs is not an error yet: handlers ran on until it was given up, beyond the lease's end.
/// The fence has a timer of its own.
#[tokio::test(start_paused = true)]
async fn a_renewal_that_hangs_does_not_keep_handlers_beyond_the_lease() {
    let t = Fixture::new();
    let id = t.enqueue("k").await;
    let lease = 30 * SECOND;
    let worker =
        run(t.worker().lease(lease).handle_raw("k", async |_: JobContext| future::pending::<Done>().await));
    t.until(id, JobState::Running).await;
    let began = Instant::now();
    t.backend.script(Operation::Renew, [Fault::HoldRequest; 100]);
    eventually(|| worker.handle.in_hand() == 0).await;
    assert!(began.elapsed() < lease, "{:?}", began.elapsed());
    t.backend.heal();
    worker.stop().await;
}

/// The fetcher slept through the end of the fence until its next poll, a minute later.
#[tokio::test(start_paused = true)]
async fn a_worker_that_regains_its_lease_fetches_at_once() {
    let t = Fixture::new();
    let builder = t.worker().lease(10 * SECOND).poll_interval(60 * SECOND);
    let worker = run(builder.handle_raw("k", async |_: JobContext| Ok::<_, JobError>(())));
    eventually(|| t.backend.calls(Operation::Renew) > 0).await;
    t.backend.script(Operation::Renew, [Fault::Fail(BackendErrorKind::Unavailable); 500]);
    tokio::time::sleep(9 * SECOND).await;
    let id = t.enqueue("k").await;
    t.backend.heal();
    let took = t.until(id, JobState::Completed).await;
    assert!(took <= 5 * SECOND, "{took:?}");
    assert_eq!(worker.stop().await.stats.incarnations_lost, 0);
}

/// A worker that starts while the store comes back saw the others' leases end with its own eyes closed: they
/// could not renew either.
#[tokio::test(start_paused = true)]
async fn a_worker_that_could_not_register_rescues_nobody_for_one_lease() {
    let t = Fixture::new();
    let id = t.enqueue_with("k", JobOptions::new().queue("elsewhere")).await;
    let ghost = WorkerId::random();
    t.backend.register_worker(Call::new(), RegisterWorker::new(ghost, "ghost", SECOND)).await.unwrap();
    let want = vec![QueueWant::new(Name::new("elsewhere").unwrap(), 1)];
    t.backend.fetch(Call::new(), FetchRequest::new(ghost, ClaimId(1), want)).await.unwrap();
    tokio::time::sleep(2 * SECOND).await;
    t.backend.script(Operation::RegisterWorker, [Fault::Fail(BackendErrorKind::Unavailable)]);
    let lease = Duration::from_secs(20);
    let worker = run(t.worker().lease(lease).handle_raw("k", async |_: JobContext| Ok::<_, JobError>(())));
    let took = t.until(id, JobState::Available).await;
    assert!((lease..lease + SECOND).contains(&took), "{took:?}");
    worker.stop().await;
}

/// Each registration was refused at the first fetch, and the next one followed at once, for ever.
#[tokio::test(start_paused = true)]
async fn a_store_that_forgets_the_worker_again_and_again_is_asked_ever_less_often() {
    let t = Fixture::new();
    t.backend
        .script(Operation::Fetch, std::iter::repeat_n(Fault::Fail(BackendErrorKind::WorkerGone), 100_000));
    let worker = run(t.worker().handle_raw("k", async |_: JobContext| Ok::<_, JobError>(())));
    tokio::time::sleep(60 * SECOND).await;
    let registered = t.backend.calls(Operation::RegisterWorker);
    assert!((5..40).contains(&registered), "{registered} registrations");
    t.backend.heal();
    let id = t.enqueue("k").await;
    t.until(id, JobState::Completed).await;
    worker.stop().await;
}

/// Without hints the heartbeat alone brings a cancel.
#[tokio::test(start_paused = true)]
async fn a_cancel_reaches_its_handler_within_a_second_of_a_deaf_worker() {
    let t = Fixture::deaf();
    let id = t.enqueue("k").await;
    let worker = run(t.worker().handle_raw("k", async |ctx: JobContext| {
        ctx.cancellation().cancelled().await;
        Ok::<_, JobError>(())
    }));
    t.until(id, JobState::Running).await;
    tokio::time::sleep(1_234 * MILLI).await;
    t.client.cancel(id).await.unwrap();
    let took = t.until(id, JobState::Cancelled).await;
    assert!(took <= SECOND, "{took:?}");
    worker.stop().await;
}

/// Where hints arrive the heartbeat need not bring cancels; it makes up for a hint that is lost.
#[tokio::test(start_paused = true)]
async fn a_cancel_whose_hint_is_lost_reaches_its_handler_with_the_next_renewal() {
    let t = Fixture::losing_hints();
    let worker = run(t.worker().poll_interval(100 * MILLI).handle_raw("k", async |ctx: JobContext| {
        ctx.cancellation().cancelled().await;
        Ok::<_, JobError>(())
    }));
    let id = t.enqueue("k").await;
    t.until(id, JobState::Running).await;
    t.client.cancel(id).await.unwrap();
    let took = t.until(id, JobState::Cancelled).await;
    assert!(took <= 5 * SECOND + SECOND, "{took:?}");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_cancel_reaches_its_handler_at_once_where_hints_arrive() {
    let t = Fixture::new();
    let worker = run(t.worker().handle_raw("k", async |ctx: JobContext| {
        ctx.cancellation().cancelled().await;
        Ok::<_, JobError>(())
    }));
    let id = t.enqueue("k").await;
    t.until(id, JobState::Running).await;
    tokio::time::sleep(1_234 * MILLI).await;
    t.client.cancel(id).await.unwrap();
    let took = t.until(id, JobState::Cancelled).await;
    assert!(took <= 200 * MILLI, "{took:?}");
    worker.stop().await;
}

/// Its hint comes, and the renewal with it, before the job does.
#[tokio::test(start_paused = true)]
async fn a_cancel_of_a_job_whose_fetch_is_under_way_reaches_its_handler_within_a_second() {
    let t = Fixture::new();
    let id = t.enqueue("k").await;
    t.backend.script(Operation::Fetch, [Fault::HoldReply]);
    let worker = run(t.worker().handle_raw("k", async |ctx: JobContext| {
        ctx.cancellation().cancelled().await;
        Ok::<_, JobError>(())
    }));
    t.until(id, JobState::Running).await;
    let before = t.backend.calls(Operation::Renew);
    t.client.cancel(id).await.unwrap();
    eventually(|| t.backend.calls(Operation::Renew) > before).await;
    tokio::time::sleep(50 * MILLI).await;
    t.backend.release();
    let took = t.until(id, JobState::Cancelled).await;
    assert!(took <= SECOND, "{took:?}");
    worker.stop().await;
}
