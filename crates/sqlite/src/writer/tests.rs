//! What becomes of a group of operations of which one fails.

use std::sync::Arc;
use std::time::Duration;

use gristmill_core::{
    BackendError, BackendErrorKind, Call, Certainty, Durability, Listeners, MigrateMode, SystemClock,
};
use rusqlite::ffi;

use super::*;
use crate::error::{Answer, Fail};
use crate::migrate::{Neighbours, migrate};
use crate::task::{Request, Waiting};

fn writer(commit: fn(&Connection) -> rusqlite::Result<()>) -> Writer {
    let connection = Connection::open_in_memory().expect("it opens");
    assert!(migrate(&connection, Neighbours::Refused, MigrateMode::Up).is_ok());
    let settings = Settings {
        durability: Durability::Process,
        busy_timeout: Duration::ZERO,
        watch_ends: false,
        neighbours: Neighbours::Refused,
    };
    Writer {
        connection,
        inbox: Arc::new(Inbox::new()),
        clock: Arc::new(SystemClock),
        listeners: Listeners::default(),
        settings,
        memory: Memory::default(),
        others: Others::default(),
        opened: Arc::new(Opened::new(std::path::Path::new(""))),
        commit,
    }
}

/// Makes a queue of this name.
fn write(group: &mut Group<'_>, name: &&'static str, _: gristmill_core::Timestamp) -> Answer<()> {
    group.prepare("INSERT INTO queues (name) VALUES (?1)")?.execute([name])?;
    Ok(())
}

fn refusal() -> Fail {
    Fail::Refused(BackendError::new(BackendErrorKind::Refused, "the test refuses"))
}

fn write_and_refuse(
    group: &mut Group<'_>,
    name: &&'static str,
    now: gristmill_core::Timestamp,
) -> Answer<()> {
    write(group, name, now)?;
    Err(refusal())
}

type InGroup = fn(&mut Group<'_>, &&'static str, gristmill_core::Timestamp) -> Answer<()>;

/// Runs operations as one group; their answers, and the queues that are there after it.
fn run(writer: &mut Writer, operations: &[(&'static str, InGroup)]) -> (Vec<Option<Certainty>>, Vec<String>) {
    let (mut tasks, mut answers): (VecDeque<Box<dyn Task>>, Vec<Waiting<()>>) = Default::default();
    for (name, operation) in operations {
        let (task, answer) = Request::task(Call::new(), *name, *operation);
        tasks.push_back(task);
        answers.push(answer);
    }
    while !tasks.is_empty() {
        writer.group(&mut tasks, Company::Many);
    }
    let answers = answers.into_iter().map(|mut answer| {
        let answer = answer.try_recv().expect("it is answered").expect("it is answered");
        answer.err().map(|error| error.certainty())
    });
    let answers = answers.collect();
    let mut select =
        writer.connection.prepare("SELECT name FROM queues ORDER BY queue").expect("a statement");
    let names = select.query_map([], |row| row.get(0)).expect("it runs");
    (answers, names.map(|name| name.expect("a name")).collect())
}

#[test]
fn a_refused_operation_leaves_nothing_behind() {
    let refused = Some(Certainty::NotStored);
    let mut alone = writer(commit);
    assert_eq!(run(&mut alone, &[("a", write_and_refuse)]), (vec![refused], vec![]));
    let mut among = writer(commit);
    let operations: &[(&'static str, InGroup)] = &[("a", write), ("b", write_and_refuse), ("c", write)];
    let kept = vec!["a".to_owned(), "c".to_owned()];
    assert_eq!(run(&mut among, operations), (vec![None, refused, None], kept));
}

#[test]
fn a_commit_that_fails_is_not_run_again_since_it_may_have_succeeded() {
    /// A disk that stores the commit and reports a failure.
    fn lie(connection: &Connection) -> rusqlite::Result<()> {
        commit(connection)?;
        Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_IOERR), None))
    }
    let maybe = Some(Certainty::MaybeStored);
    let mut writer = writer(lie);
    let (answers, names) = run(&mut writer, &[("a", write), ("b", write)]);
    assert_eq!((answers, names), (vec![maybe, maybe], vec!["a".to_owned(), "b".to_owned()]));
}

#[test]
fn a_group_ends_with_the_operation_that_brings_it_to_the_bytes_of_a_batch() {
    const THIRD: usize = MAX_BATCH_BYTES / 3 + 1;
    /// Brings a third of a batch, and makes its queue if it is the first of its transaction.
    fn bring(group: &mut Group<'_>, name: &&'static str, now: gristmill_core::Timestamp) -> Answer<()> {
        if group.sums.bytes == 0 {
            write(group, name, now)?;
        }
        group.sums.bytes += THIRD;
        Ok(())
    }
    let operations = ["a", "b", "c", "d", "e", "f", "g"].map(|name| (name, bring as InGroup));
    let (_, firsts) = run(&mut writer(commit), &operations);
    assert_eq!(firsts, ["a", "d", "g"]);
}
