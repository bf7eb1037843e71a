//! What the log says of an outage: that it began, why, and that it is over, all at one level.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gristmill_core::{BackendErrorKind, JobError, JobOptions, JobState};
use gristmill_engine::{JobContext, Tx};
use gristmill_testkit::{Fault, Operation};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::fixture::{Fixture, SECOND, eventually, log_to, run};
use crate::ledger::Draft;

/// A line that a program shows which logs warnings, as the command does by default.
#[derive(Debug, Clone, Default)]
struct Line {
    name: &'static str,
    target: String,
    fields: HashMap<&'static str, String>,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }
}

impl Line {
    fn of(&self, field: &str) -> &str {
        self.fields.get(field).map_or("", |value| value.trim_matches('"'))
    }
}

#[derive(Debug, Clone, Default)]
struct Lines(Arc<Mutex<Vec<Line>>>);

impl Lines {
    fn all(&self) -> Vec<Line> {
        self.0.lock().expect("no test panics while it holds it").clone()
    }

    /// How often one of these was said of each operation.
    fn counts(&self, names: &[&str]) -> HashMap<String, usize> {
        let mut counts = HashMap::new();
        for line in self.all().iter().filter(|line| names.contains(&line.name)) {
            *counts.entry(line.of("operation").to_owned()).or_default() += 1;
        }
        counts
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let (name, target) = (event.metadata().name(), event.metadata().target().to_owned());
        let mut line = Line { name, target, ..Line::default() };
        event.record(&mut line);
        self.0.lock().expect("no test panics while it holds it").push(line);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

const ALL: [Operation; 6] = [
    Operation::Fetch,
    Operation::Finish,
    Operation::Renew,
    Operation::Promote,
    Operation::Rescue,
    Operation::Ping,
];

/// What ends a trouble: the store answers, or nothing is sent any more, as by a worker whose leases have
/// passed on.
const ENDS: [&str; 2] = ["backend_recovered", "backend_left"];

/// An outage for every loop of the worker, within a lease and beyond it.
#[tokio::test(start_paused = true)]
async fn each_loop_says_once_that_the_store_fails_and_once_that_this_is_over() {
    outage(15 * SECOND, &ENDS[..1]).await;
    outage(60 * SECOND, &ENDS).await;
}

/// An outage of this length, and the lines of which one ends each trouble.
async fn outage(length: Duration, ends: &[&str]) {
    let t = Fixture::new();
    let lines = Lines::default();
    let _log = log_to(lines.clone());
    let id = t.enqueue("k").await;
    let worker = run(t.worker().handle_raw("k", async |_: JobContext| {
        tokio::time::sleep(5 * SECOND).await;
        Ok::<_, JobError>(())
    }));
    t.until(id, JobState::Running).await;
    for operation in ALL {
        let fault = Fault::Fail(BackendErrorKind::Unavailable);
        t.backend.script(operation, std::iter::repeat_n(fault, 10_000));
    }
    tokio::time::sleep(length).await;
    t.backend.heal();
    t.until(id, JobState::Completed).await;
    // Each loop has tried again, and the rescuer still waits for the other workers' renewals.
    tokio::time::sleep(10 * SECOND).await;
    worker.stop().await;

    let begun = lines.counts(&["backend_trouble"]);
    for operation in ["fetch", "finish", "renew", "promote", "rescue"] {
        assert_eq!(begun.get(operation), Some(&1), "{operation}: {begun:?}");
    }
    assert_eq!(lines.counts(ends), begun, "{:?}", lines.counts(&ENDS[1..]));
    for line in lines.all() {
        assert!(line.target.starts_with("gristmill"), "{line:?}");
        if line.name == "backend_trouble" {
            assert!(line.of("error").contains("met an injected fault"), "{line:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_registration_that_succeeds_ends_its_trouble() {
    let t = Fixture::new();
    let lines = Lines::default();
    let _log = log_to(lines.clone());
    let id = t.enqueue("k").await;
    t.backend.script(Operation::RegisterWorker, [Fault::Fail(BackendErrorKind::Unavailable); 3]);
    let worker = run(t.worker().handle_raw("k", async |_: JobContext| Ok::<_, JobError>(())));
    t.until(id, JobState::Completed).await;
    worker.stop().await;

    let begun = lines.counts(&["backend_trouble"]);
    assert_eq!(begun.get("register_worker"), Some(&1), "{begun:?}");
    assert_eq!(lines.counts(&ENDS[..1]), begun);
    assert!(lines.counts(&ENDS[1..]).is_empty(), "{:?}", lines.all());
}

#[tokio::test(start_paused = true)]
async fn the_look_that_ends_a_drain_ends_its_trouble() {
    for kind in ["k", "without_a_handler"] {
        let t = Fixture::new();
        let lines = Lines::default();
        let _log = log_to(lines.clone());
        t.enqueue(kind).await;
        t.backend.script(Operation::Stats, [Fault::Fail(BackendErrorKind::Unavailable); 2]);

        run(t.worker().drain().handle_raw("k", async |_: JobContext| Ok::<_, JobError>(()))).report().await;

        let begun = lines.counts(&["backend_trouble"]);
        assert_eq!(begun.get("stats"), Some(&1), "{kind}: {begun:?}");
        assert_eq!(lines.counts(&ENDS[..1]), begun, "{kind}");
        assert!(lines.counts(&ENDS[1..]).is_empty(), "{kind}");
    }
}

/// What settles the doubt about a commit passes it on; the calls are repeated, by the completer.
#[tokio::test(start_paused = true)]
async fn an_end_that_is_passed_on_is_not_said_to_be_given_up() {
    let t = Fixture::with_ledger();
    let lines = Lines::default();
    let _log = log_to(lines.clone());
    t.enqueue("k").await;
    t.backend.script(Operation::FinishTx, [Fault::LoseReply(BackendErrorKind::Unavailable)]);
    t.backend.script(Operation::Finish, [Fault::Fail(BackendErrorKind::Internal); 5]);

    run(t.worker().drain().handle_raw("k", async |_: Tx<Draft>| Ok::<_, JobError>(()))).report().await;

    assert_eq!(t.backend.calls(Operation::Finish), 6);
    assert_eq!(lines.counts(&["backend_trouble"]).get("finish"), Some(&1), "{:?}", lines.all());
    assert!(lines.counts(&ENDS[1..]).is_empty(), "{:?}", lines.all());
}

#[tokio::test(start_paused = true)]
async fn an_error_is_logged_with_its_sources() {
    let t = Fixture::objecting(|_| Some(BackendErrorKind::Refused));
    let lines = Lines::default();
    let _log = log_to(lines.clone());
    t.enqueue("k").await;
    let worker = run(t.worker().handle_raw("k", async |_: JobContext| Ok::<_, JobError>("done")));
    eventually(|| lines.all().iter().any(|line| line.name == "finish_lessened")).await;
    worker.handle.stop();
    worker.report().await;
    for line in lines.all().iter().filter(|line| !line.of("error").is_empty()) {
        assert!(line.of("error").contains("the ledger objects: its disk is full"), "{line:?}");
    }
}

/// The heartbeat of jobs fetched by hand has a log of its own.
#[tokio::test(start_paused = true)]
async fn the_heartbeat_by_hand_says_once_that_the_store_fails_and_once_that_it_answers_again() {
    let t = Fixture::new();
    let lines = Lines::default();
    let _log = log_to(lines.clone());
    t.enqueue_with("k", JobOptions::new()).await;
    t.enqueue_with("k", JobOptions::new()).await;
    let mut jobs = t.client.fetch("default", 2).await.unwrap();
    t.backend.script(Operation::Renew, [Fault::Fail(BackendErrorKind::Unavailable); 10]);
    t.backend.script(Operation::Finish, [Fault::Fail(BackendErrorKind::Unavailable); 10]);
    drop(jobs.pop());
    tokio::time::sleep(20 * SECOND).await;
    assert!(jobs.pop().expect("it was fetched").renew().await.unwrap(), "the lease holds");

    let begun = lines.counts(&["backend_trouble"]);
    assert_eq!((begun.get("renew"), begun.get("finish")), (Some(&1), Some(&1)), "{begun:?}");
    assert_eq!(lines.counts(&ENDS), begun);
    assert_eq!(lines.all().len(), 4, "{:?}", lines.all());
}
