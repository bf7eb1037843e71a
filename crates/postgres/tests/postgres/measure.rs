//! What a benchmark asks of the server.

use gristmill_testkit::block_on;

use crate::faults::site::until;
use crate::fixture::{Schema, runtime};

/// Sessions of the database whose transaction keeps an old snapshot.
const HOLDERS: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
     AND state = 'idle in transaction' AND backend_xmin IS NOT NULL AND query LIKE '%{schema}%'";

#[test]
fn the_log_grows_with_what_is_stored() {
    let schema = Schema::new();
    let backend = schema.open();
    let before = block_on(backend.spent()).expect("the server answers");
    schema.enqueue(&backend, 100);
    let after = block_on(backend.spent()).expect("the server answers");
    assert!(after.wal_bytes > before.wal_bytes + 100 * 50, "{before:?} {after:?}");
    assert!(block_on(backend.settle_server()).expect("the server answers"), "the role may ask for it");
}

#[test]
fn a_snapshot_is_held_until_it_is_released_and_its_loss_is_told() {
    let schema = Schema::new();
    let backend = schema.open();
    let _runtime = runtime().enter();

    let held = block_on(backend.hold_snapshot()).expect("a snapshot is held");
    assert_eq!(schema.psql(HOLDERS), "1");
    block_on(held.release()).expect("it was held to the end");
    assert_eq!(schema.psql(HOLDERS), "0");

    let held = block_on(backend.hold_snapshot()).expect("a snapshot is held");
    assert_eq!(schema.psql(&HOLDERS.replace("count(*)", "pg_terminate_backend(pid)")), "t");
    until("the holder's session has ended", || schema.psql(HOLDERS) == "0");
    block_on(held.release()).expect_err("it was not");
}
