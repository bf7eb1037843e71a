//! What holds on SQLite.

use std::time::Duration;

use gristmill::{Client, JobPatch, JobState, Sqlite};
use gristmill_core::{BackendErrorKind, Certainty, ErrorKind};

use crate::adapter::{Adapter, End, committed, ended, rolled_back};
use crate::{Letter, Session, Site, runtime};

/// A connection that may only read says so; a look is possible.
pub fn a_connection_that_only_reads_is_an_error_that_says_so<A: Adapter>(site: &Site) {
    let mut adapter = A::connect(&site.url);
    let id =
        committed(&mut adapter, |tx| tx.enqueue(&site.outbox, Letter::new(1)).expect("it is enqueued").id);
    rolled_back(&mut adapter, |tx| {
        tx.execute("PRAGMA query_only = ON").expect("it is set");
        assert!(tx.get(&site.outbox, id).expect("it is answered").is_some());
        let error = tx.enqueue(&site.outbox, Letter::new(2)).expect_err("it is refused");
        assert_eq!(error.kind(), ErrorKind::Backend(BackendErrorKind::ReadOnly), "{error:?}");
    });
    assert_eq!(site.jobs(), 1);
}

/// One writer at a time: another one that does not end is an error that asks for a repeat.
pub fn another_writer_is_an_error_that_asks_for_a_repeat<A: Adapter>(site: &Site) {
    let (mut first, mut second) = (A::connect(&site.url), A::connect(&site.url));
    let error = committed(&mut first, |tx| {
        tx.enqueue(&site.outbox, Letter::new(1)).expect("it is enqueued");
        rolled_back(&mut second, |tx| {
            tx.execute("PRAGMA busy_timeout = 20").expect("it is set");
            tx.enqueue(&site.outbox, Letter::new(2)).expect_err("the file is locked")
        })
    });
    assert_eq!(error.kind(), ErrorKind::Backend(BackendErrorKind::Busy), "{error:?}");
    assert!(error.to_string().contains("repeat the whole transaction"), "{error:?}");
    assert_eq!(site.jobs(), 1);
}

/// A transaction that has read before another one wrote cannot write any more: it gets an error that says so.
pub fn a_snapshot_that_is_past_is_an_error_that_asks_for_a_repeat<A: Adapter>(site: &Site) {
    let mut adapter = A::connect(&site.url);
    rolled_back(&mut adapter, |tx| {
        tx.execute(&format!("SELECT count(*) FROM {}", site.table)).expect("it reads");
        site.execute(&site.insert(1));
        let error = tx.enqueue(&site.outbox, Letter::new(1)).expect_err("its snapshot is past");
        assert_eq!(error.kind(), ErrorKind::Backend(BackendErrorKind::Busy), "{error:?}");
        assert!(error.hint().is_some_and(|hint| hint.contains("BEGIN IMMEDIATE")), "{error:?}");
    });
    assert_eq!((site.rows(), site.jobs()), (1, 0));
}

/// SQLite ends a transaction by itself where a statement says so, or its disk is full. What the driver still
/// takes for one stores nothing: its row is gone, and a job would be stored alone.
pub fn a_transaction_that_sqlite_has_ended_takes_nothing<A: Adapter>(site: &Site) {
    let mut adapter = A::connect(&site.url);
    let other = runtime().block_on(site.client.enqueue(Letter::new(0))).expect("it is stored").id;
    for row in 1..=2 {
        rolled_back(&mut adapter, |tx| {
            tx.execute(&site.insert(row)).expect("a row");
            tx.enqueue(&site.outbox, Letter::new(1)).expect("the transaction is open");
            let insert = site.insert(row).replace("INSERT", "INSERT OR ROLLBACK");
            tx.execute(&insert).expect_err("the row is there");
            let errors = [
                tx.enqueue(&site.outbox, Letter::new(2)).map(drop),
                tx.enqueue_many(&site.outbox, vec![Letter::new(3).into()]).map(drop),
                tx.cancel(&site.outbox, other).map(drop),
                tx.update(&site.outbox, other, JobPatch::default()).map(drop),
                tx.get(&site.outbox, other).map(drop),
            ]
            .map(|result| result.expect_err("there is no transaction"));
            for error in errors {
                assert_eq!(error.kind(), ErrorKind::Backend(BackendErrorKind::Refused), "{error:?}");
                assert_eq!(error.certainty(), Certainty::NotStored, "{error:?}");
                assert!(error.to_string().contains("the transaction is rolled back already"), "{error:?}");
                assert!(error.hint().is_some_and(|hint| hint.contains("begin anew")), "{error:?}");
            }
        });
        let state = site.job(other).map(|job| job.state);
        assert_eq!(
            (site.rows(), site.jobs(), state),
            (row - 1, row.unsigned_abs(), Some(JobState::Available))
        );
        committed(&mut adapter, |tx| {
            tx.execute(&site.insert(row)).expect("a row");
            tx.enqueue(&site.outbox, Letter::new(4)).expect("it is enqueued");
        });
    }
    assert_eq!((site.rows(), site.jobs()), (2, 3));
}

/// A constraint that is checked at COMMIT: certainly nothing is stored, and the connection is free for the
/// repeat.
pub fn a_commit_that_is_refused_has_stored_nothing<A: Adapter>(site: &Site) {
    site.execute("CREATE TABLE pets (owner REFERENCES users DEFERRABLE INITIALLY DEFERRED)");
    let mut adapter = A::connect(&site.url);
    adapter.execute("PRAGMA foreign_keys = ON").expect("it is set");
    let pet = |tx: &mut dyn Session| {
        tx.execute("INSERT INTO pets VALUES (7)").expect("a row");
        tx.enqueue(&site.outbox, Letter::new(1)).expect("it is enqueued");
    };
    let ((), result) = ended(&mut adapter, End::Commit, pet);
    let error = result.expect_err("the owner is not there");
    assert_eq!(error.certainty(), Certainty::NotStored, "{error:?}");
    assert_eq!(site.jobs(), 0);
    site.execute(&site.insert(7));
    committed(&mut adapter, pet);
    assert_eq!(site.jobs(), 1);
}

/// Only in the journal modes with a rollback journal can a reader hold up a commit; Gristmill's files use the
/// other one, unless the program changes that.
pub fn a_commit_that_is_held_up_asks_for_a_repeat<A: Adapter>(site: &Site) {
    let (url, _) = site.without_outbox();
    let mut adapter = A::connect(&url);
    for sql in ["CREATE TABLE users (number)", "INSERT INTO users VALUES (0)", "PRAGMA busy_timeout = 20"] {
        adapter.execute(sql).expect("it is executed");
    }
    let row = |tx: &mut dyn Session| tx.execute("INSERT INTO users VALUES (1)").expect("a row");
    let reader = rusqlite::Connection::open(&url).expect("it opens");
    reader.execute_batch("BEGIN; SELECT count(*) FROM users").expect("it reads");
    let ((), result) = ended(&mut adapter, End::Commit, row);
    let error = result.expect_err("the reader holds it up");
    assert_eq!(error.kind(), ErrorKind::Backend(BackendErrorKind::Busy), "{error:?}");
    assert_eq!((error.certainty(), error.is_retryable()), (Certainty::NotStored, true), "{error:?}");
    drop(reader);
    committed(&mut adapter, row);
}

/// What is enqueued by a client, on a connection of its own, waits for the transaction, which waits for it:
/// until the client's patience ends, and neither is hurt.
pub fn a_clients_call_behind_the_first_write_waits_in_vain_and_the_transaction_commits<A: Adapter>(
    site: &Site,
) {
    let backend = Sqlite::builder(&site.url).busy_timeout(Duration::from_millis(50)).open();
    let client = Client::new(backend.expect("the file opens"));
    let mut adapter = A::connect(&site.url);
    let error = committed(&mut adapter, |tx| {
        tx.execute(&site.insert(1)).expect("a row");
        let detached = runtime().block_on(client.enqueue(Letter::new(1)));
        tx.enqueue(&site.outbox, Letter::new(2)).expect("the transaction goes on");
        detached.expect_err("the transaction writes")
    });
    assert_eq!(error.kind(), ErrorKind::Backend(BackendErrorKind::Busy), "{error:?}");
    assert_eq!((error.certainty(), error.is_retryable()), (Certainty::NotStored, true), "{error:?}");
    assert_eq!((site.rows(), site.jobs()), (1, 1));
    runtime().block_on(client.enqueue(Letter::new(3))).expect("the file is free");
}
