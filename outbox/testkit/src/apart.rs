//! What is in one database with an outbox, and has no part in it.

use gristmill::{JobExt as _, JobPatch, JobState};

use crate::adapter::{Adapter, committed, rolled_back};
use crate::{Letter, Site};

/// Enough calls for the server to keep the plan of a prepared statement.
const CALLS: i64 = 10;

/// Two schemas, one connection, one transaction: keys and ids of one mean nothing in the other.
pub fn two_outboxes_on_one_connection_keep_apart<A: Adapter>(site: &Site) {
    let (other, mut adapter) = (Site::postgres(), A::connect(&site.url));
    let (mine, theirs) = committed(&mut adapter, |tx| {
        let key = |number| Letter::new(number).unique_key("key");
        let mine = tx.enqueue(&site.outbox, key(1)).expect("it is enqueued");
        let theirs = tx.enqueue(&other.outbox, key(2)).expect("it is enqueued");
        assert!(mine.is_new() && theirs.is_new(), "{mine:?} {theirs:?}");
        for number in 0..CALLS {
            tx.enqueue(&site.outbox, Letter::new(number)).expect("it is enqueued");
            tx.enqueue_many(&other.outbox, vec![Letter::new(number).into(); 2]).expect("they are enqueued");
        }
        assert!(tx.get(&site.outbox, theirs.id).expect("it is answered").is_none());
        tx.cancel(&site.outbox, theirs.id).expect("it is stored");
        tx.delete(&other.outbox, mine.id).expect("it is stored");
        tx.cancel(&other.outbox, theirs.id).expect("it is stored");
        (mine.id, theirs.id)
    });
    site.apply();
    other.apply();
    let (mine, theirs) = (site.job(mine).map(|job| job.state), other.job(theirs).map(|job| job.state));
    assert_eq!((mine, theirs), (Some(JobState::Available), Some(JobState::Cancelled)));
    assert_eq!((site.jobs(), other.jobs()), (11, 21));
}

/// What an attacker has put in front of the server's own on the caller's search path is not used.
pub fn a_hostile_search_path_changes_nothing<A: Adapter>(site: &Site) {
    let trap = format!("{}_trap", site.schema);
    let types = ["text", "uuid", "jsonb", "json", "bytea"]
        .map(|name| format!("CREATE DOMAIN {trap}.{name} AS pg_catalog.{name} CHECK ({trap}.caught());"));
    let functions = ["enqueue", "request", "get"].map(|verb| {
        format!("CREATE FUNCTION {trap}.outbox_{verb}(text) RETURNS text LANGUAGE sql AS 'SELECT {trap}.caught()::text';")
    });
    site.execute(&format!(
        "CREATE SCHEMA {trap};
        CREATE FUNCTION {trap}.caught() RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE 'caught'; END$$;
        CREATE FUNCTION {trap}.clock_timestamp() RETURNS timestamptz LANGUAGE sql
            AS 'SELECT ({trap}.caught()::text)::timestamptz';
        CREATE TABLE {trap}.jobs (number int); CREATE TABLE {trap}.queues (number int); {} {}",
        types.concat(),
        functions.concat()
    ));
    let mut adapter = A::connect(&site.url);
    adapter.execute(&format!("SET search_path = {trap}, pg_catalog, pg_temp")).expect("it is set");
    for trapped in ["clock_timestamp()", "'{}'::jsonb"] {
        let caught = rolled_back(&mut adapter, |tx| tx.execute(&format!("SELECT {trapped}")));
        caught.expect_err("the trap is laid");
    }
    let id = committed(&mut adapter, |tx| {
        for number in 0..CALLS {
            let letter = Letter::new(number).queue("post").unique_key(format!("{number}")).tag("t");
            tx.enqueue(&site.outbox, letter).expect("it is enqueued");
        }
        let id = tx.enqueue(&site.outbox, Letter::new(CALLS)).expect("it is enqueued").id;
        tx.update(&site.outbox, id, JobPatch::default()).expect("it is stored");
        tx.cancel(&site.outbox, id).expect("it is stored");
        assert!(tx.get(&site.outbox, id).expect("it is answered").is_some());
        id
    });
    site.apply();
    let state = site.job(id).map(|job| job.state);
    assert_eq!((state, site.jobs()), (Some(JobState::Cancelled), 11));
}
