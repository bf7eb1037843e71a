//! Many requests at once: rounds of a hundred, and what they leave to other operations (RM30).

use std::io::{Write, stdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use gristmill_core::{Backend, Call, Clock, JobFilter, JobState, Maintained, SystemClock, Timestamp};
use gristmill_sqlite::Sqlite;
use gristmill_testkit::block_on;
use gristmill_testkit::requested::promote;
use rusqlite::Connection;

use super::apply::{left, stored};
use super::twins::Side;
use crate::fixture::{File, complete, count, enqueue, fetch, register};

/// Stores requests for jobs that are there in turns with those for jobs that are not, and applies them.
fn many(requests: i64) {
    let side = Side::new();
    let ids = stored(&side, 1_000);
    let insert = "INSERT INTO requests (id, verb, actor) WITH RECURSIVE place (n) AS
        (SELECT 1 UNION ALL SELECT n + 1 FROM place WHERE n < ?1)
        SELECT coalesce((SELECT id FROM jobs WHERE seq = n), randomblob(16)), 'cancel', n / 50 FROM place";
    side.raw.execute(insert, [requests]).expect("they are stored");
    let (mut done, mut longest) = (0, Duration::ZERO);
    loop {
        let begun = Instant::now();
        let round = promote(&side.backend);
        longest = longest.max(begun.elapsed());
        assert!(round.done <= 100, "{round:?}");
        done += round.done;
        if !round.more {
            break;
        }
    }
    assert_eq!((i64::try_from(done), left(&side.raw)), (Ok(requests), 0));
    assert_eq!(count(&side.backend, JobFilter::new().state(JobState::Cancelled)), ids.len() as u64);
    assert!(longest < Duration::from_secs(2), "{longest:?}");
}

#[test]
fn rm30_a_hundred_thousand_requests_are_applied_in_rounds_of_a_hundred() {
    let begun = Instant::now();
    many(100_000);
    let _ = writeln!(stdout(), "100,000 requests in {:?}", begun.elapsed());
}

/// Stores so many requests for jobs that are not there.
fn store_many(raw: &Connection, requests: i64) {
    let insert = "INSERT INTO requests (id, verb, actor) WITH RECURSIVE place (n) AS
        (SELECT 1 UNION ALL SELECT n + 1 FROM place WHERE n < ?1)
        SELECT randomblob(16), 'cancel', n / 50 FROM place";
    raw.execute(insert, [requests]).expect("they are stored");
}

/// Promotes beside `act` until a round pauses, and returns until when.
fn pause(backend: &Sqlite, act: impl Fn()) -> Timestamp {
    loop {
        let round = promote(backend);
        assert_eq!(round.done, 100, "each round before the pause is full");
        if !round.more {
            return round.next_due.expect("it goes on");
        }
        act();
    }
}

#[test]
fn rm30_each_process_pauses_between_rounds_of_many_requests_beside_other_operations() {
    let side = Side::new();
    let other = side.file.open();
    store_many(&side.raw, 3_000);

    let due = pause(&side.backend, || drop(enqueue(&side.backend, side.file.jobs(1)).expect("it is stored")));

    let before_due = Timestamp::from_millis(due.as_millis() - 1);
    for backend in [&side.backend, &other] {
        let round = promote_at(backend, before_due);
        assert_eq!((round.done, round.more, round.next_due), (0, false, Some(due)));
    }
    // The other process has no operations of its own and pauses, too, while they are recent.
    let round = promote_at(&other, due);
    assert!(round.done == 100 && !round.more && round.next_due > Some(due), "{round:?}");
    let rounds = [2_000, 2_001].map(|after| promote_at(&other, due + Duration::from_millis(after)));
    assert_eq!(rounds.map(|round| (round.done, round.more)), [(100, true); 2]);
}

#[test]
fn rm30_a_pause_that_another_clock_has_stored_holds_up_nothing() {
    let side = Side::new();
    store_many(&side.raw, 3_000);
    let due = pause(&side.backend, || drop(enqueue(&side.backend, side.file.jobs(1)).expect("it is stored")));
    let earlier = Timestamp::from_millis(due.as_millis() - 60_000);
    assert_eq!(promote_at(&side.backend, earlier).done, 100);
}

fn promote_at(backend: &Sqlite, now: Timestamp) -> Maintained {
    block_on(backend.promote(Call::at(now), 1_000)).expect("a round")
}

/// Fetches and finishes for so long; returns how many jobs there were.
fn work(file: &File, backend: &Sqlite, claims: std::ops::Range<u64>) -> u32 {
    let worker = register(backend);
    let (begun, mut done) = (Instant::now(), 0);
    for claim in claims {
        if begun.elapsed() > Duration::from_secs(4) {
            break;
        }
        enqueue(backend, file.jobs(10)).expect("they are stored");
        done += u32::try_from(complete(backend, fetch(backend, worker, claim, 10)).len()).unwrap_or(0);
    }
    done
}

/// Applies requests as a worker does, until `is_over`.
fn apply_beside(backend: &Sqlite, is_over: &AtomicBool) -> u64 {
    let mut applied = 0;
    while !is_over.load(Ordering::Relaxed) {
        let Ok(round) = block_on(backend.promote(Call::new(), 1_000)) else { continue };
        applied += round.done;
        if let Some(due) = round.next_due.filter(|_| !round.more) {
            thread::park_timeout(due.since(SystemClock.now()));
        }
    }
    applied
}

/// Works in one process while it and `others` apply requests; returns the share of the throughput that is
/// left.
fn work_beside(others: usize) -> f64 {
    let side = Side::new();
    store_many(&side.raw, 300_000);
    let open = || side.file.options().busy_timeout(Duration::from_secs(10)).open().expect("it opens");
    let (backend, others) = (open(), (0..others).map(|_| open()).collect::<Vec<_>>());
    let alone = work(&side.file, &backend, 1..u64::MAX);
    let is_over = AtomicBool::new(false);
    let (beside, applied) = thread::scope(|scope| {
        let appliers: Vec<_> = std::iter::once(&backend)
            .chain(&others)
            .map(|backend| scope.spawn(|| apply_beside(backend, &is_over)))
            .collect();
        let beside = work(&side.file, &backend, 1..u64::MAX);
        is_over.store(true, Ordering::Relaxed);
        (beside, appliers.into_iter().map(|applier| applier.join().expect("it ends")).collect::<Vec<_>>())
    });
    let ratio = f64::from(beside) / f64::from(alone);
    let _ = writeln!(stdout(), "{alone} alone, {beside} beside {applied:?} requests: {ratio:.2}");
    ratio
}

#[test]
#[ignore = "measures"]
fn rm30_fetch_and_finish_go_on_beside_many_requests_that_several_processes_apply() {
    for others in [0, 1, 3] {
        let ratio = work_beside(others);
        assert!(ratio >= 0.9, "{ratio:.2} beside {others} others");
    }
}
