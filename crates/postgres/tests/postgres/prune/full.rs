//! A span of which DEFAULT holds more than may be moved under a lock: without a partition, and pruned all the
//! same.

use gristmill_core::{Backend, Call, JobFilter, Timestamp};
use gristmill_testkit::block_on;

use super::{LIMIT, completed, job, partitions_from, prune, state};
use crate::fixture::{Schema, complete, count, fetch, register};

/// One more than may be moved.
const JOBS: u64 = 10_001;
const WIDTH_MS: i64 = 6 * 3_600_000;
const TABLES: [&str; 4] = ["jobs", "attempts", "records", "logs"];

#[test]
fn a_partition_of_which_default_holds_too_much_is_not_made_and_its_jobs_go_one_by_one() {
    let schema = Schema::new();
    let backend = schema.open();
    schema.psql("INSERT INTO {schema}.queues (queue, name) VALUES (1, 'line')");
    let tomorrow: i64 =
        schema.psql("SELECT max(from_ms) FROM {schema}.partitions()").parse().expect("a number");
    for table in TABLES {
        schema.psql(&format!("DROP TABLE {{schema}}.{table}_p{tomorrow}"));
    }
    completed(&schema, tomorrow, JOBS);

    prune(&backend);

    let made = TABLES
        .map(|table| schema.psql(&format!("SELECT to_regclass('{{schema}}.{table}_p{tomorrow}') IS NULL")));
    assert_eq!(made, ["t"; 4], "neither a partition nor a part of one");
    let again = format!(
        "SELECT {{schema}}.make_partition('jobs', {tomorrow}, {tomorrow} + {WIDTH_MS}, {})",
        JOBS - 1
    );
    assert_eq!(schema.psql(&again), "full");
    assert_eq!(schema.psql("SELECT count(*) FROM {schema}.jobs_default"), JOBS.to_string());
    schema.enqueue(&backend, 1);
    assert_eq!(complete(&backend, fetch(&backend, register(&backend), 1, 10)).len(), 1);
    assert_eq!(count(&backend, JobFilter::new()), JOBS + 1);

    // Each of them has completed more than a day before that, the other one, too.
    let later = Call::at(Timestamp::from_millis(tomorrow + 24 * 3_600_000 + 2_000 + WIDTH_MS));
    let mut gone = 0;
    loop {
        let round = block_on(backend.prune(later, LIMIT)).expect("a round is answered");
        gone += round.done;
        if !round.more {
            break;
        }
    }

    assert_eq!(gone, JOBS + 1);
    assert_eq!(count(&backend, JobFilter::new()), 0);
    assert_eq!(state(&backend, job(&schema, tomorrow, 0)), None);
    assert_eq!(schema.psql("SELECT sum(completed) FROM {schema}.tallies"), "0");
    // There is room again.
    prune(&backend);
    assert_eq!(partitions_from(&schema, tomorrow), 1);
}
