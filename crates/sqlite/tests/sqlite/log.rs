//! What the log says.

use std::fmt::{Debug, Write};
use std::sync::{Mutex, OnceLock};

use gristmill_sqlite::Sqlite;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::fixture::{File, enqueue, fetch, register};

/// The lines of every test of this process.
struct Log;

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

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
        LINES.lock().expect("no test panics here").push(line.0);
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

#[test]
fn a_job_that_is_set_aside_is_logged_once_with_what_is_wrong() {
    let file = File::new();
    let backend = open(&file);
    let jobs = file.jobs(2);
    let bad = jobs[0].id;
    enqueue(&backend, jobs).expect("they are stored");
    file.raw()
        .execute("UPDATE jobs SET kind = 'two words' WHERE id = ?1", [bad.as_bytes()])
        .expect("it is changed");

    assert_eq!(fetch(&backend, register(&backend), 1, 9).len(), 1);
    drop(backend);

    let lines = LINES.lock().expect("no test panics here");
    let of_it: Vec<&String> = lines.iter().filter(|line| line.contains(&bad.to_string())).collect();
    assert_eq!(of_it.len(), 1, "{of_it:?}");
    for part in ["ERROR", "a job cannot be read and is discarded", "undecodable: kind `two words`"] {
        assert!(of_it[0].contains(part), "{of_it:?}");
    }
}
