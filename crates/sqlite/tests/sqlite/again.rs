//! A job that comes back for ever.

use std::time::Duration;

use gristmill_core::{
    Backend, Call, Decision, Ending, FetchedJob, FinishItem, FinishRequest, Finished, JobFilter, JobState,
    LogLine, RecordRequest, RunError, Timestamp, VerbRequest, Verdict,
};
use gristmill_sqlite::Sqlite;
use gristmill_testkit::block_on;
use rusqlite::params;

use crate::fixture::{File, count, enqueue, fetch, register};

/// The last number that a run of a file has.
const LAST_RUN: u32 = (1 << 22) - 1;

fn finish(backend: &Sqlite, item: FinishItem) -> Finished {
    let request = FinishRequest::new(vec![item]);
    block_on(backend.finish(Call::new(), request)).expect("a finish is answered").items.remove(0)
}

/// Lets the next run of the only available job be the one with this number.
fn skip_to(file: &File, run: u32) {
    file.raw().execute("UPDATE ready SET run = ?1", params![run - 1]).expect("it is set");
}

#[test]
fn a_job_whose_runs_have_used_up_their_numbers_runs_on() {
    let file = File::new();
    let backend = file.open();
    let mut job = file.job();
    let id = job.id;
    job.spec.unique_key = Some(gristmill_core::UniqueKey::new("key").expect("a key"));
    let twin = gristmill_core::NewJob::new(file.job().id, job.spec.clone());
    enqueue(&backend, vec![job]).expect("it is stored");
    let worker = register(&backend);
    let snooze = |job: &FetchedJob| {
        finish(
            &backend,
            FinishItem::new(job.lease.clone(), Decision::SnoozeAfter(Duration::ZERO), Ending::Snoozed),
        )
    };
    let first = fetch(&backend, worker, 1, 1).remove(0);
    snooze(&first);
    skip_to(&file, 50);
    let between = fetch(&backend, worker, 4, 1).remove(0);
    let mut half = RecordRequest::new(between.lease.clone());
    half.checkpoint = Some(b"half".as_slice().into());
    block_on(backend.record(Call::new(), half)).expect("a record");
    snooze(&between);
    skip_to(&file, LAST_RUN);
    let last = fetch(&backend, worker, 2, 1).remove(0);
    assert_eq!(last.lease.run, LAST_RUN);
    let mut line = RecordRequest::new(last.lease.clone());
    line.log = vec![LogLine::new(Timestamp::EPOCH, "the last")];
    block_on(backend.record(Call::new(), line)).expect("a record");

    assert_eq!(snooze(&last), Finished::Accepted { state: JobState::Available });

    let runs = block_on(backend.list_runs(Call::new(), id, 10)).expect("runs");
    assert_eq!(runs.iter().map(|run| (run.run, run.log.len())).collect::<Vec<_>>(), [(1, 0), (2, 1)]);
    let left = block_on(backend.checkpoint(Call::new(), id)).expect("an answer");
    assert_eq!(left.as_deref(), Some(b"half".as_slice()));
    let again = fetch(&backend, worker, 3, 1).remove(0);
    assert_eq!((again.lease.job, again.lease.run, again.attempt), (id, 3, 1));
    for old in [&first, &between, &last] {
        assert!(matches!(snooze(old), Finished::LeaseLost { .. } | Finished::AlreadyAccepted));
    }
    assert_eq!(count(&backend, JobFilter::new().state(JobState::Running)), 1);
    assert!(matches!(
        enqueue(&backend, vec![twin]).expect("answered").jobs[0],
        gristmill_core::Enqueued::Existing { .. }
    ));
    let completed = finish(&backend, FinishItem::complete(again.lease));
    assert_eq!(completed, Finished::Accepted { state: JobState::Completed });
    let audit = block_on(backend.audit(Call::new(), None, 10)).expect("an audit");
    assert!(audit.repaired.is_empty());
    assert_eq!(count(&backend, JobFilter::new().state(JobState::Completed)), 1);
}

#[test]
fn a_job_that_ended_in_its_last_run_is_retried_by_hand() {
    let file = File::new();
    let backend = file.open();
    let job = file.job();
    let id = job.id;
    enqueue(&backend, vec![job]).expect("it is stored");
    skip_to(&file, LAST_RUN);
    let worker = register(&backend);
    let last = fetch(&backend, worker, 1, 1).remove(0);
    let mut discard = FinishItem::new(last.lease, Decision::Discard, Ending::Discarded);
    discard.reason = Some("its own".to_owned());
    discard.error = Some(RunError::new("no"));
    finish(&backend, discard);
    let record = block_on(backend.get(Call::new(), vec![id])).expect("a job").remove(0).expect("it is there");
    assert_eq!(record.reason.as_deref(), Some("its own"));

    let retried = block_on(backend.retry(Call::new(), VerbRequest::ids(vec![id]))).expect("a verdict");

    assert_eq!(retried.jobs, [(id, Verdict::Done)]);
    assert_eq!(block_on(backend.list_events(Call::new(), id)).expect("events").len(), 1);
    let again = fetch(&backend, worker, 2, 1).remove(0);
    assert_eq!((again.lease.run, again.attempt), (2, 1));
}

#[test]
fn rounds_without_anything_to_do_write_nothing() {
    let file = File::new();
    let backend = file.open();
    let worker = register(&backend);
    let other = file.raw();
    let version =
        || -> i64 { other.query_row("PRAGMA data_version", [], |row| row.get(0)).expect("a version") };
    let before = version();
    for claim in 1..5 {
        assert!(fetch(&backend, worker, claim, 10).is_empty());
        block_on(backend.promote(Call::new(), 100)).expect("a round");
        block_on(backend.rescue(Call::new(), 100)).expect("a round");
        block_on(backend.prune(Call::new(), 100)).expect("a round");
        block_on(backend.audit(Call::new(), None, 100)).expect("a round");
    }
    assert_eq!(version(), before);
}
