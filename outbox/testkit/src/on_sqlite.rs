//! What holds on SQLite.

use gristmill_core::{BackendErrorKind, ErrorKind};

use crate::adapter::{Adapter, committed, rolled_back};
use crate::{Letter, Site};

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

/// A transaction that has read before another one wrote cannot write any more, and is told so.
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
