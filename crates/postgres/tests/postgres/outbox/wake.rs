//! Workers hear of it once the transaction commits.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gristmill_core::{Backend, Hint, Listener, Subscription};
use gristmill_postgres::Postgres;

use super::requests::{apply, request};
use super::{Caller, storing};
use crate::fixture::{Schema, complete, fetch, name, register};

/// A notification arrives at once, unless the other process does not listen yet.
const AGAIN: Duration = Duration::from_millis(100);
const TIMES: usize = 200;

struct Ear(Mutex<Sender<Hint>>);

impl Listener for Ear {
    fn hint(&self, hint: &Hint) {
        // The test may have heard enough and be gone.
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).send(hint.clone());
    }

    fn watches_ends(&self) -> bool {
        true
    }
}

fn listen(backend: &Postgres) -> (Receiver<Hint>, Subscription) {
    let (hints, heard) = channel();
    let subscription = backend.subscribe(Arc::new(Ear(Mutex::new(hints))));
    (heard, subscription)
}

/// Acts until a hint is heard that `is_meant`.
fn act_until_heard(heard: &Receiver<Hint>, mut act: impl FnMut(), mut is_meant: impl FnMut(&Hint) -> bool) {
    for _ in 0..TIMES {
        act();
        while let Ok(hint) = heard.recv_timeout(AGAIN) {
            if is_meant(&hint) {
                return;
            }
        }
    }
    panic!("nothing was heard");
}

#[test]
fn a_sleeping_worker_is_woken_at_the_commit_and_runs_the_job() {
    let schema = Schema::new();
    let backend = schema.open();
    let worker = register(&backend);
    let (heard, _subscription) = listen(&backend);
    let caller = Caller::of(&schema);
    let available = |hint: &Hint| *hint == Hint::Available(name("line"));
    // The process listens from here on, and has met the queue.
    act_until_heard(&heard, || drop(caller.ask("enqueue", &storing(&[schema.job()]))), available);
    let leased = fetch(&backend, worker, 1, 1000);
    complete(&backend, leased);
    while heard.recv_timeout(AGAIN).is_ok() {}

    for (claim, many) in [(2, 1), (3, 2)] {
        caller.run("BEGIN");
        let jobs: Vec<_> = (0..many).map(|_| schema.job()).collect();
        caller.ask("enqueue", &storing(&jobs));
        assert!(!heard.recv_timeout(AGAIN).is_ok_and(|hint| available(&hint)), "it is not committed");
        caller.run("COMMIT");
        assert!(
            std::iter::from_fn(|| heard.recv_timeout(Duration::from_secs(20)).ok())
                .any(|hint| available(&hint))
        );
        let leased = fetch(&backend, worker, claim, 10);
        assert_eq!(leased.len(), many);
        complete(&backend, leased);
    }
}

#[test]
fn a_worker_hears_of_what_is_due_of_cancels_and_of_ends() {
    let schema = Schema::new();
    let backend = schema.open();
    let worker = register(&backend);
    let (heard, _subscription) = listen(&backend);
    let caller = Caller::of(&schema);
    let enqueue = |more: &str| {
        let job = schema.job();
        let request =
            storing(std::slice::from_ref(&job)).replace(r#""args":"{}""#, &format!(r#""args":"{{}}"{more}"#));
        caller.ask("enqueue", &request);
        job.id
    };
    act_until_heard(
        &heard,
        || {
            enqueue(r#","at_ms":4102444800000"#);
        },
        |hint| matches!(hint, Hint::Due(at) if at.as_millis() == 4_102_444_800_000),
    );
    let id = enqueue(r#","suspended":true"#);
    request(&caller, "cancel", &[id], "");
    let due = |hint: Hint| matches!(hint, Hint::Due(at) if at.as_millis() < 4_102_444_800_000);
    assert!(std::iter::from_fn(|| heard.recv_timeout(Duration::from_secs(20)).ok()).any(due));
    apply(&backend);
    let ended = |hint: Hint| hint == Hint::Ended(id);
    assert!(std::iter::from_fn(|| heard.recv_timeout(Duration::from_secs(20)).ok()).any(ended));
    let id = enqueue("");
    assert_eq!(fetch(&backend, worker, 1, 10).len(), 1);
    request(&caller, "cancel", &[id], "");
    apply(&backend);
    let asked = |hint: Hint| hint == Hint::CancelRequested(id);
    assert!(std::iter::from_fn(|| heard.recv_timeout(Duration::from_secs(20)).ok()).any(asked));
}

/// Thousands of lanes do not fit one notification.
#[test]
fn jobs_of_more_queues_than_fit_one_notification_are_all_told() {
    let schema = Schema::new();
    let backend = schema.open();
    let (heard, _subscription) = listen(&backend);
    let caller = Caller::of(&schema);
    let mut jobs: Vec<_> = (0..400).map(|_| schema.job()).collect();
    for (place, job) in jobs.iter_mut().enumerate() {
        job.spec.queue = name(&format!("queue.{place}"));
    }
    let mut open: std::collections::BTreeSet<String> =
        jobs.iter().map(|job| job.spec.queue.to_string()).collect();
    act_until_heard(
        &heard,
        || drop(caller.ask("enqueue", &storing(&[schema.job()]))),
        |hint| *hint == Hint::Available(name("line")),
    );
    caller.ask("enqueue", &storing(&jobs));
    while let Ok(hint) = heard.recv_timeout(Duration::from_secs(20)) {
        if let Hint::Available(queue) = hint {
            open.remove(queue.as_str());
        }
        if open.is_empty() {
            break;
        }
    }
    assert!(open.is_empty(), "{open:?}");
}
