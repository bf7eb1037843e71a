//! What holds on PostgreSQL.

use gristmill::{Enqueue, ExistingBy, JobExt as _, JobId};
use gristmill_core::{BackendErrorKind, Certainty, Enqueued, Error, ErrorKind};
use gristmill_testserver::{FaultProxy, Postgres as Server};

use crate::adapter::{Adapter, End, committed, ended, rolled_back};
use crate::{Letter, Session, Site, runtime};

/// The isolation levels above READ COMMITTED.
const STRICTER: [&str; 2] = ["REPEATABLE READ", "SERIALIZABLE"];

/// Says that it may only be read; a look is possible.
pub fn a_read_only_transaction_is_an_error_that_says_so<A: Adapter>(site: &Site) {
    let mut adapter = A::connect(&site.url);
    let id =
        committed(&mut adapter, |tx| tx.enqueue(&site.outbox, Letter::new(1)).expect("it is enqueued").id);
    rolled_back(&mut adapter, |tx| {
        tx.execute("SET TRANSACTION READ ONLY").expect("it is set");
        assert!(tx.get(&site.outbox, id).expect("it is answered").is_some());
        let error = tx.enqueue(&site.outbox, Letter::new(2)).expect_err("it is refused");
        says(&error, BackendErrorKind::ReadOnly, "the transaction is read-only");
    });
    assert_eq!(site.jobs(), 1);
}

/// Says that a statement before has failed; behind a rollback to a savepoint it goes on.
pub fn an_aborted_transaction_is_an_error_that_says_so<A: Adapter>(site: &Site) {
    let mut adapter = A::connect(&site.url);
    committed(&mut adapter, |tx| {
        tx.execute("SAVEPOINT here").expect("a savepoint");
        tx.execute("SELECT 1 / 0").expect_err("it fails");
        let error = tx.enqueue(&site.outbox, Letter::new(1)).expect_err("it is refused");
        says(&error, BackendErrorKind::Refused, "the transaction is aborted");
        assert!(!error.is_retryable());
        tx.execute("ROLLBACK TO SAVEPOINT here").expect("it is rolled back");
        tx.enqueue(&site.outbox, Letter::new(2)).expect("it goes on");
    });
    assert_eq!(site.jobs(), 1);
}

/// At READ COMMITTED a key that another one has taken since the transaction began is an answer.
pub fn at_read_committed_a_key_taken_meanwhile_is_an_answer<A: Adapter>(site: &Site) {
    let mut adapter = A::connect(&site.url);
    committed(&mut adapter, |tx| {
        tx.execute(&site.insert(1)).expect("a row");
        let taken = take(site, "key");
        let receipt = tx.enqueue(&site.outbox, Letter::new(2).unique_key("key")).expect("it is answered");
        assert_eq!(receipt.enqueued, Enqueued::Existing { id: taken, by: ExistingBy::UniqueKey });
    });
    assert_eq!((site.rows(), site.jobs()), (1, 1));
}

/// At the stricter levels jobs are enqueued as at READ COMMITTED, except for a key that another one has taken
/// since the snapshot: that asks for a repeat of the whole transaction, which finds the other job.
pub fn at_stricter_levels_a_key_taken_meanwhile_asks_for_a_repeat<A: Adapter>(site: &Site) {
    let mut adapter = A::connect(&site.url);
    // A queue that another transaction makes meanwhile is in the way just so; this one is there.
    take(site, "first");
    for (row, level) in (1..).zip(STRICTER) {
        let begin = format!("SET TRANSACTION ISOLATION LEVEL {level}");
        let (lone, key) = (Letter::new(row), Letter::new(row).unique_key(level));
        let mut taken = None;
        let (error, _) = ended(&mut adapter, End::RollBack, |tx| {
            tx.execute(&begin).expect("it is set");
            tx.execute(&site.insert(row)).expect("a row");
            taken = Some(take(site, level));
            tx.enqueue(&site.outbox, lone.clone()).expect("it is enqueued");
            tx.enqueue(&site.outbox, key.clone()).expect_err("it cannot be serialized")
        });
        says(&error, BackendErrorKind::Busy, "repeat the whole transaction");
        assert!(error.is_retryable());
        let jobs = site.jobs();
        committed(&mut adapter, |tx| {
            tx.execute(&begin).expect("it is set");
            tx.execute(&site.insert(row)).expect("a row");
            tx.enqueue(&site.outbox, lone).expect("it is enqueued");
            let receipt = tx.enqueue(&site.outbox, key).expect("it is answered");
            let taken = taken.expect("it was taken");
            assert_eq!(receipt.enqueued, Enqueued::Existing { id: taken, by: ExistingBy::UniqueKey });
        });
        assert_eq!((site.rows(), site.jobs()), (row, jobs + 1), "at {level}");
    }
}

/// A queue that another transaction has been the first to use since the snapshot asks for the repeat at the
/// commit, where the transaction makes its own queues known.
pub fn at_stricter_levels_a_queue_first_used_meanwhile_asks_for_a_repeat<A: Adapter>(site: &Site) {
    let mut adapter = A::connect(&site.url);
    for (row, level) in (1..).zip(STRICTER) {
        let begin = format!("SET TRANSACTION ISOLATION LEVEL {level}");
        let letter = Letter::new(row).queue(format!("queue-{row}"));
        let refused = adapter.transaction(&mut |tx| {
            tx.execute(&begin).expect("it is set");
            tx.execute(&site.insert(row)).expect("a row");
            store(site, letter.clone());
            tx.enqueue(&site.outbox, letter.clone()).expect("it is enqueued");
            End::Commit
        });
        let error = refused.expect_err("it cannot be serialized");
        says(&error, BackendErrorKind::Busy, "repeat the whole transaction");
        assert_eq!((error.certainty(), error.is_retryable()), (Certainty::NotStored, true));
        committed(&mut adapter, |tx| {
            tx.execute(&begin).expect("it is set");
            tx.execute(&site.insert(row)).expect("a row");
            tx.enqueue(&site.outbox, letter).expect("it is enqueued");
        });
    }
    assert_eq!((site.rows(), site.jobs()), (2, 4));
}

/// At COMMIT the server rolls back instead, and the drivers do not report it. A caller that ignores an
/// earlier error gets no second one.
pub fn a_commit_where_a_statement_has_failed_is_no_error_and_stores_nothing<A: Adapter>(site: &Site) {
    let mut adapter = A::connect(&site.url);
    committed(&mut adapter, |tx| {
        tx.execute(&site.insert(1)).expect("a row");
        tx.enqueue(&site.outbox, Letter::new(1)).expect("it is enqueued");
        tx.execute("SELECT 1 / 0").expect_err("it fails");
    });
    assert_eq!((site.rows(), site.jobs()), (0, 0));
}

/// On a connection of its own, a client need not wait for the transaction, but for a queue that this is the
/// first to use.
pub fn a_detached_job_is_stored_while_the_transaction_writes<A: Adapter>(site: &Site) {
    let mut adapter = A::connect(&site.url);
    store(site, Letter::new(0));
    let detached = rolled_back(&mut adapter, |tx| {
        tx.execute(&site.insert(1)).expect("a row");
        tx.enqueue(&site.outbox, Letter::new(1)).expect("it is enqueued");
        let detached = store(site, Letter::new(2));
        tx.enqueue(&site.outbox, Letter::new(3)).expect("it is enqueued");
        detached
    });
    assert!(site.job(detached).is_some());
    assert_eq!((site.rows(), site.jobs()), (0, 2));
}

/// The server has committed, the client cannot know it: the error says so, and a repeat with the same ids
/// stores nothing twice.
pub fn a_lost_answer_to_commit_may_have_stored_and_a_repeat_is_safe<A: Adapter>(site: &Site) {
    let proxy = FaultProxy::start(Server::shared().address());
    let prepared: Vec<_> = [Letter::new(1).into(), Letter::new(2).unique_key("key")]
        .map(|job: Enqueue<Letter>| site.outbox.prepare(job).expect("it is valid"))
        .into();
    let mut adapter = A::connect(&proxy.url_through(&site.url));
    let (receipts, result) = ended(&mut adapter, End::Commit, |tx| {
        let receipts = tx.enqueue_prepared(&site.outbox, &prepared);
        proxy.lose_next_reply_to(|request| request.windows(6).any(|word| word == b"COMMIT"));
        receipts.expect("they are enqueued")
    });
    let error = result.expect_err("the answer is lost");
    assert_eq!(proxy.lost_replies(), 1);
    assert!(receipts.iter().all(gristmill::Receipt::is_new));
    assert_eq!(error.certainty(), Certainty::MaybeStored, "{error:?}");
    says(&error, BackendErrorKind::Unavailable, "may have been stored");
    assert_eq!(site.jobs(), 2, "the server had committed");
    let mut adapter = A::connect(&site.url);
    let again = committed(&mut adapter, |tx| {
        tx.enqueue_prepared(&site.outbox, &prepared).expect("they are answered")
    });
    for (receipt, job) in again.iter().zip(&prepared) {
        assert_eq!(receipt.enqueued, Enqueued::Existing { id: job.id, by: ExistingBy::Id });
    }
    assert_eq!(site.jobs(), 2);
}

/// Where no transaction has begun, the statement was one, and the server has committed it.
pub fn a_lost_answer_outside_of_a_transaction_may_have_stored<A: Adapter>(site: &Site) {
    let proxy = FaultProxy::start(Server::shared().address());
    let prepared = [site.outbox.prepare(Letter::new(1)).expect("it is valid")];
    let mut adapter = A::connect(&proxy.url_through(&site.url));
    let session: &mut dyn Session = &mut adapter;
    let id = prepared[0].id.to_string().into_bytes();
    proxy.lose_next_reply_to(move |request| request.windows(id.len()).any(|window| window == id));
    let error = session.enqueue_prepared(&site.outbox, &prepared).expect_err("the answer is lost");
    assert_eq!((proxy.lost_replies(), error.certainty()), (1, Certainty::MaybeStored), "{error:?}");
    says(&error, BackendErrorKind::Unavailable, "may have been stored");
    assert_eq!(site.jobs(), 1, "the server had committed");
}

/// The connection is cut in the transaction: nothing of it is there.
pub fn a_connection_lost_in_the_transaction_has_stored_nothing<A: Adapter>(site: &Site) {
    let proxy = FaultProxy::start(Server::shared().address());
    let mut adapter = A::connect(&proxy.url_through(&site.url));
    let (error, _) = ended(&mut adapter, End::RollBack, |tx| {
        tx.enqueue(&site.outbox, Letter::new(1)).expect("it is enqueued");
        proxy.cut_all();
        tx.enqueue(&site.outbox, Letter::new(2)).expect_err("the connection is lost")
    });
    assert_eq!(error.certainty(), Certainty::NotStored, "{error:?}");
    says(&error, BackendErrorKind::Unavailable, "nothing of the transaction is stored");
    assert_eq!(site.jobs(), 0);
}

/// The error for a role without rights names the rights it needs, and with these it needs nothing else.
pub fn a_role_without_rights_is_told_which_it_needs<A: Adapter>(site: &Site) {
    let role = format!("{}_role", site.schema);
    site.execute(&format!("CREATE ROLE {role} LOGIN"));
    let (scheme, place) = site.url.split_once("://").expect("it is a URL");
    let place = place.split_once('@').map_or(place, |(_, place)| place);
    let mut adapter = A::connect(&format!("{scheme}://{role}@{place}"));
    let error = rolled_back(&mut adapter, |tx| {
        tx.enqueue(&site.outbox, Letter::new(1)).expect_err("it has no rights")
    });
    says(&error, BackendErrorKind::Refused, "may not use outbox_enqueue");
    let grants = error.hint().expect("there is a remedy").replace("the_role", &role);
    site.execute(&grants);
    committed(&mut adapter, |tx| {
        tx.enqueue(&site.outbox, Letter::new(2).unique_key("key").queue("new")).expect("it is enqueued");
        tx.enqueue(&site.outbox, Letter::new(3)).expect("it is enqueued");
    });
    assert_eq!(site.jobs(), 2);
}

/// A job of another that holds this key.
fn take(site: &Site, key: &str) -> JobId {
    store(site, Letter::new(0).unique_key(key))
}

/// A job of another, through a client.
fn store(site: &Site, letter: impl Into<Enqueue<Letter>>) -> JobId {
    runtime().block_on(site.client.enqueue(letter)).expect("it is stored").id
}

#[track_caller]
fn says(error: &Error, kind: BackendErrorKind, words: &str) {
    assert_eq!(error.kind(), ErrorKind::Backend(kind), "{error:?}");
    assert!(error.to_string().contains(words), "{error:?}");
}
