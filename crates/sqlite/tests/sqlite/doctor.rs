//! What `diagnose` tries, and what it finds.

use gristmill_core::{Args, Backend, Call, Diagnosis, JobFilter};
use gristmill_sqlite::Sqlite;
use gristmill_testkit::block_on;
use gristmill_testkit::requested::apply;

use crate::fixture::{File, count, enqueue, register};

fn finding(backend: &Sqlite, check: &str) -> Diagnosis {
    let findings = block_on(backend.diagnose(Call::new())).expect("findings");
    findings.into_iter().find(|finding| finding.check == check).expect("it is among them")
}

#[test]
fn a_job_is_tried_and_leaves_nothing() {
    let file = File::new();
    let backend = file.open();
    let reader = file.options().read_only(true).open().expect("it opens");
    for handle in [&backend, &reader] {
        let found = finding(handle, "trial");
        assert!(found.ok && found.finding.starts_with("tried and rolled back"), "{found:?}");
    }
    assert_eq!(count(&backend, JobFilter::new()), 0);
    let left = "SELECT (SELECT count(*) FROM workers) + (SELECT count(*) FROM queues) + (SELECT count(*) FROM claims)";
    let left: i64 = file.raw().query_row(left, [], |row| row.get(0)).expect("numbers");
    assert_eq!(left, 0);

    file.raw()
        .execute_batch(
            "CREATE TRIGGER stop BEFORE INSERT ON claims BEGIN SELECT raise(ABORT, 'no claims today'); END",
        )
        .expect("it is made");
    for handle in [&backend, &reader] {
        let found = finding(handle, "trial");
        assert!(!found.ok && found.finding.contains("no claims today"), "{found:?}");
    }
}

#[test]
fn requests_that_cannot_be_read_are_reported_with_the_text_of_the_first() {
    let file = File::new();
    let backend = file.open();
    assert!(finding(&backend, "requests").ok);
    file.raw()
        .execute_batch(
            "INSERT INTO requests (id, verb) VALUES (zeroblob(16), 'cancel'), (zeroblob(16), 'stop'), (x'00', '')",
        )
        .expect("they are stored");
    let round = block_on(backend.promote(Call::new(), 1_000)).expect("a round");
    assert_eq!(round.done, 3);
    let found = finding(&backend, "requests");
    assert!(!found.ok && found.finding == "2 are set aside; 2: the verb `stop` is not known", "{found:?}");
}

#[test]
fn requests_that_wait_are_reported_with_the_oldest_if_no_worker_is_alive_to_apply_them() {
    let file = File::new();
    let backend = file.open();
    let waiting = || {
        let findings = block_on(backend.diagnose(Call::new())).expect("findings");
        let found = findings.into_iter().rfind(|finding| finding.check == "requests").expect("it is there");
        (found.ok, found.finding)
    };
    assert_eq!(waiting(), (true, "none waits".to_owned()));
    let rows = "INSERT INTO requests (id, verb, fault) VALUES (zeroblob(16), 'stop', 'x'),
        (zeroblob(16), 'cancel', NULL), (zeroblob(16), 'cancel', NULL)";
    file.raw().execute_batch(rows).expect("they are stored");
    let finding = "2 wait, the oldest is request 2, and no worker is alive";
    assert_eq!(waiting(), (false, finding.to_owned()));

    register(&backend);

    assert_eq!(waiting(), (true, "2 wait, the oldest is request 2".to_owned()));
    assert_eq!(apply(&backend), 2);
    assert_eq!(waiting(), (true, "none waits".to_owned()));
}

#[test]
fn a_log_that_a_reader_keeps_from_being_merged_is_reported() {
    let file = File::new();
    let backend = file.open();
    let other = file.raw();
    other.execute_batch("BEGIN; SELECT count(*) FROM jobs").expect("it reads");
    let args = format!("\"{}\"", "x".repeat(1_000_000));
    for _ in 0..9 {
        let mut jobs = file.jobs(8);
        for job in &mut jobs {
            job.spec.args = Args::from_json(args.clone()).expect("it is JSON");
        }
        enqueue(&backend, jobs).expect("they are stored");
    }

    let found = finding(&backend, "write-ahead log");

    assert!(!found.ok && found.finding.contains("a reader holds an old snapshot"), "{found:?}");
    other.execute_batch("ROLLBACK").expect("it ends");
    assert!(finding(&backend, "write-ahead log").ok);
}
