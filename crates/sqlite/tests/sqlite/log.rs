//! What the log says.

use std::fmt::{Debug, Write};
use std::sync::mpsc::channel;
use std::sync::{Condvar, Mutex, OnceLock};
use std::time::Duration;

use gristmill_core::{Backend, Call, Clock, Finished, JobFilter, JobId, JobState, SystemClock};
use gristmill_sqlite::Sqlite;
use gristmill_testkit::block_on;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::fixture::{File, complete, count, enqueue, fetch, register};

const PATIENCE: Duration = Duration::from_secs(20);

/// The lines of every test of this process.
struct Log;

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
static ADDED: Condvar = Condvar::new();

/// Held while a line with [`BLOCKS`] in it is to block.
static GATE: Mutex<()> = Mutex::new(());
const BLOCKS: &str = "blocks the log";
const PANICS: &str = "panics in the log";

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {field}={value:?}").expect("a text takes more");
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        assert!(!line.0.contains(PANICS), "a subscriber that panics");
        if line.0.contains(BLOCKS) {
            drop(GATE.lock());
        }
        LINES.lock().expect("no test panics here").push(line.0);
        ADDED.notify_all();
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Opens a file whose backend logs to [`LINES`].
fn open(file: &File) -> Sqlite {
    static SET: OnceLock<()> = OnceLock::new();
    SET.get_or_init(|| tracing::subscriber::set_global_default(Log).expect("no other test sets one"));
    file.open()
}

/// Stores two jobs of which the first gets this kind, and tells its id.
fn damaged(file: &File, backend: &Sqlite, kind: &str) -> JobId {
    let jobs = file.jobs(2);
    let bad = jobs[0].id;
    enqueue(backend, jobs).expect("they are stored");
    let changed = file.raw().execute("UPDATE jobs SET kind = ?2 WHERE id = ?1", (bad.as_bytes(), kind));
    changed.expect("it is changed");
    bad
}

/// The lines about a job, as soon as there are some of each of these levels.
fn lines_of(job: JobId, levels: &[&str]) -> Vec<String> {
    let job = job.to_string();
    let lines = LINES.lock().expect("no test panics here");
    let is_of = |line: &String, level: &str| line.starts_with(level) && line.contains(&job);
    let lacks =
        |lines: &mut Vec<String>| !levels.iter().all(|level| lines.iter().any(|line| is_of(line, level)));
    let (lines, waited) = ADDED.wait_timeout_while(lines, PATIENCE, lacks).expect("no test panics here");
    assert!(!waited.timed_out(), "not all of {levels:?} is logged of {job}");
    lines.iter().filter(|line| line.contains(&job)).cloned().collect()
}

#[test]
fn a_job_that_is_set_aside_is_logged_once_with_what_is_wrong() {
    let file = File::new();
    let backend = open(&file);
    let bad = damaged(&file, &backend, "two words");

    assert_eq!(fetch(&backend, register(&backend), 1, 9).len(), 1);
    drop(backend);

    let of_it = lines_of(bad, &["ERROR"]);
    assert_eq!(of_it.len(), 1, "{of_it:?}");
    for part in ["ERROR", "a job cannot be read and is discarded", "undecodable: kind `two words`"] {
        assert!(of_it[0].contains(part), "{of_it:?}");
    }
}

#[test]
fn a_request_that_keeps_failing_is_logged_at_first_and_when_it_is_set_aside() {
    let file = File::new();
    let backend = open(&file);
    let jobs = file.jobs(1);
    let id = jobs[0].id;
    enqueue(&backend, jobs).expect("they are stored");
    let (raw, stop) = (file.raw(), "CREATE TRIGGER stop BEFORE INSERT ON events BEGIN SELECT raise(ABORT, ");
    raw.execute_batch(&format!("{stop}'no cancel of {id}'); END")).expect("it is made");
    let request = "INSERT INTO requests (id, verb) VALUES (?1, 'cancel')";
    raw.execute(request, [id.as_bytes()]).expect("it is stored");
    let begun = SystemClock.now();

    for minute in 0..=5 {
        let now = begun + Duration::from_secs(60) * minute;
        block_on(backend.promote(Call::at(now), 100)).expect("a round");
    }

    let of_it = lines_of(id, &["WARN", "ERROR"]);
    assert_eq!(of_it.len(), 2, "{of_it:?}");
    let set_aside = of_it.iter().find(|line| line.starts_with("ERROR")).expect("it is logged");
    assert!(set_aside.contains("is set aside") && set_aside.contains("it failed 6 times"), "{of_it:?}");
}

#[test]
fn a_log_that_panics_or_blocks_loses_no_answer_and_stops_no_call() {
    let gate = GATE.lock().expect("no test panics while it holds it");
    for kind in [PANICS, BLOCKS] {
        let file = File::new();
        let backend = open(&file);
        let bad = damaged(&file, &backend, kind);
        let (answer, answered) = channel();
        let calls = std::thread::spawn(move || {
            let worker = register(&backend);
            let fetched = fetch(&backend, worker, 1, 9);
            answer.send(complete(&backend, fetched)).expect("the test waits for it");
            backend
        });

        let finished = answered.recv_timeout(PATIENCE).expect("the calls are answered");

        assert_eq!(finished, [Finished::Accepted { state: JobState::Completed }]);
        let backend = calls.join().expect("no call panics");
        assert_eq!(count(&backend, JobFilter::new().state(JobState::Discarded)), 1, "{kind}: {bad}");
    }
    drop(gate);
}
