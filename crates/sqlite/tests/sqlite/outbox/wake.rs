//! Workers that sleep hear of what the outbox has stored once its transaction is committed.

use std::collections::HashSet;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gristmill_core::{
    Backend, Call, Clock, Finished, Hint, JobState, Listener, Subscription, SystemClock, When,
};
use gristmill_sqlite::Sqlite;
use gristmill_testkit::block_on;

use super::answer::{ENQUEUE, REQUEST, send};
use super::request;
use super::twins::Side;
use crate::fixture::{File, complete, enqueue, fetch, name, register};

const PATIENCE: Duration = Duration::from_secs(20);

struct Tell(Mutex<Sender<Hint>>);

impl Listener for Tell {
    fn hint(&self, hint: &Hint) {
        // The test may have ended.
        let _ = self.0.lock().expect("no listener panics").send(hint.clone());
    }
}

pub(super) fn listen(backend: &Sqlite) -> (Subscription, Receiver<Hint>) {
    let (told, hints) = channel();
    (backend.subscribe(Arc::new(Tell(Mutex::new(told)))), hints)
}

pub(super) fn await_hint(hints: &Receiver<Hint>, wanted: impl Fn(&Hint) -> bool) -> bool {
    let until = Instant::now() + PATIENCE;
    while let Ok(hint) = hints.recv_timeout(until.saturating_duration_since(Instant::now())) {
        if wanted(&hint) {
            return true;
        }
    }
    false
}

/// Another connection commits until the backend has looked for the first time: what was before its first look
/// is no news.
fn settle(side: &Side, hints: &[&Receiver<Hint>]) {
    side.raw
        .execute_batch("CREATE TABLE users (id INTEGER); INSERT INTO queues (name) VALUES ('line')")
        .expect("it is so in this test");
    send(&side.raw, *ENQUEUE, &request::enqueue(&[side.file.job().when(When::After(PATIENCE * 1_000))]));
    for hints in hints {
        while hints.recv_timeout(Duration::from_millis(20)).is_err() {
            side.raw.execute_batch("INSERT INTO users VALUES (0)").expect("it is so in this test");
        }
        while hints.try_recv().is_ok() {}
    }
}

#[test]
fn workers_of_this_process_and_of_another_run_the_job_once_it_is_committed() {
    let side = Side::new();
    let other = side.file.open();
    let (_here, here) = listen(&side.backend);
    let (_there, there) = listen(&other);
    settle(&side, &[&here, &there]);
    for (claim, backend, hints) in [(1, &side.backend, &here), (2, &other, &there)] {
        let worker = register(backend);
        while hints.try_recv().is_ok() {}
        let job = side.file.job();
        side.raw.execute_batch("BEGIN IMMEDIATE").unwrap();
        send(&side.raw, *ENQUEUE, &request::enqueue(std::slice::from_ref(&job)));
        side.raw.execute_batch("COMMIT").unwrap();

        assert!(await_hint(hints, |hint| *hint == Hint::Available(name("line"))));
        let fetched = fetch(backend, worker, claim, 10);
        assert_eq!(fetched.iter().map(|job| job.lease.job).collect::<Vec<_>>(), [job.id]);
        assert_eq!(complete(backend, fetched), [Finished::Accepted { state: JobState::Completed }]);
    }
}

#[test]
fn a_worker_hears_when_a_scheduled_job_is_due() {
    let side = Side::new();
    let (_subscription, hints) = listen(&side.backend);
    settle(&side, &[&hints]);
    let due = SystemClock.now() + Duration::from_secs(3_600);
    send(&side.raw, *ENQUEUE, &request::enqueue(&[side.file.job().when(When::At(due))]));
    assert!(await_hint(&hints, |hint| *hint == Hint::Due(due)));
}

#[test]
fn a_handler_hears_of_its_cancel_with_the_next_heartbeat() {
    let side = Side::new();
    let worker = register(&side.backend);
    let job = side.file.job();
    send(&side.raw, *ENQUEUE, &request::enqueue(std::slice::from_ref(&job)));
    let fetched = fetch(&side.backend, worker, 1, 1);
    send(&side.raw, *REQUEST, &request::request("cancel", &[job.id], None, None));
    block_on(side.backend.promote(Call::new(), 1_000)).unwrap();
    let renew = gristmill_core::RenewRequest::new(worker, vec![gristmill_core::ClaimId(1)]);
    let reply = block_on(side.backend.renew(Call::new(), renew)).unwrap();
    assert_eq!(reply.cancels.len(), 1, "{reply:?}");
    assert_eq!(complete(&side.backend, fetched).len(), 1);
}

/// Jobs each of the connections that write at once stores.
const EACH: usize = 200;

#[test]
fn jobs_of_many_connections_that_commit_at_once_are_each_run_once() {
    let file = File::new();
    let backend = file.options().busy_timeout(PATIENCE / 2).open().unwrap();
    let worker = register(&backend);
    let mut seen = HashSet::new();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let (file, raw) = (&file, file.raw());
            scope.spawn(move || {
                for number in 0..EACH {
                    raw.execute_batch("BEGIN IMMEDIATE").unwrap();
                    send(&raw, *ENQUEUE, &request::enqueue(&file.jobs(2)));
                    raw.execute_batch(if number % 2 == 0 { "COMMIT" } else { "ROLLBACK" }).unwrap();
                    send(&raw, *ENQUEUE, &request::enqueue(&file.jobs(1)));
                }
            });
        }
        scope.spawn(|| (0..EACH).for_each(|_| drop(enqueue(&backend, file.jobs(1)).unwrap())));
        let wanted = 2 * (EACH / 2 * 2 + EACH) + EACH;
        for claim in 1.. {
            let jobs = fetch(&backend, worker, claim, 100);
            for job in &jobs {
                assert!(seen.insert(job.lease.job), "a job was leased twice");
            }
            complete(&backend, jobs);
            if seen.len() >= wanted {
                break;
            }
        }
        assert_eq!(seen.len(), wanted);
    });
    assert_eq!(fetch(&backend, worker, u64::MAX, 10), []);
}
