//! Requests that fail, and the order of those behind them (RM27, RM28).

use gristmill_core::{Hint, JobId, JobState};
use gristmill_testkit::requested::{apply, promote, state, whats};
use rusqlite::Connection;

use super::answer::{REQUEST, send};
use super::apply::{left, store, stored};
use super::request;
use super::twins::Side;
use super::wake::{await_hint, listen};

/// Stores updates that change nothing.
fn update(raw: &Connection, ids: &[JobId]) {
    let patch = gristmill_core::JobPatch::default();
    send(raw, REQUEST, &request::request("update", ids, None, Some(&patch)));
}

/// Makes updates of the first job fail: each adds an event.
fn stop_updates(side: &Side) {
    let stop = "CREATE TRIGGER stop BEFORE INSERT ON events WHEN new.what = 'update' AND new.seq = 1
        BEGIN SELECT raise(ABORT, 'no updates'); END";
    side.raw.execute_batch(stop).expect("it is made");
}

fn resume(side: &Side) {
    side.raw.execute_batch("DROP TRIGGER stop").expect("it is dropped");
}

#[test]
fn rm27_requests_that_fail_stay_and_hide_none_behind_them() {
    let side = Side::new();
    let ids = stored(&side, 3);
    side.raw
        .execute_batch("CREATE TRIGGER stop BEFORE DELETE ON ready WHEN old.seq = 1 BEGIN SELECT raise(ABORT, 'no'); END")
        .unwrap();
    store(&side.raw, "cancel", &vec![ids[0]; 199]);
    store(&side.raw, "cancel", &[ids[1], ids[0]]);
    store(&side.raw, "delete", &ids[2..]);
    let round = promote(&side.backend);
    assert!(round.done == 0 && round.more && round.next_due.is_some(), "{round:?}");
    // The commit of another process does not wake it before.
    let (_subscription, hints) = listen(&side.backend);
    side.raw.execute_batch("CREATE TABLE users (id INTEGER)").unwrap();
    let is_due = |hint: &Hint| matches!(hint, Hint::Due(due) if Some(*due) == round.next_due);
    assert!(await_hint(&hints, is_due));
    promote(&side.backend);
    promote(&side.backend);
    assert_eq!(
        (state(&side.backend, ids[1]), state(&side.backend, ids[2])),
        (Some(JobState::Cancelled), None)
    );
    assert_eq!((state(&side.backend, ids[0]), left(&side.raw)), (Some(JobState::Available), 200));
    side.raw.execute_batch("DROP TRIGGER stop").unwrap();
    assert_eq!(apply(&side.backend), 200);
    let whats = whats(&side.backend, ids[0]);
    assert_eq!(whats.iter().filter(|what| *what == "request refused").count(), whats.len().min(100));
    super::fault::assert_sound(&side);
}

#[test]
fn rm28_no_request_overtakes_one_of_its_job_that_failed() {
    let side = Side::new();
    let ids = stored(&side, 3);
    stop_updates(&side);
    // The first two are one group, and the first job is in it twice.
    update(&side.raw, &[ids[0], ids[1], ids[0]]);
    store(&side.raw, "cancel", &ids[..2]);
    store(&side.raw, "delete", &ids);

    assert_eq!(apply(&side.backend), 4);

    let states = ids.iter().map(|id| state(&side.backend, *id)).collect::<Vec<_>>();
    assert_eq!(states, [Some(JobState::Available), None, None]);
    assert_eq!(left(&side.raw), 4);
    resume(&side);
    store(&side.raw, "cancel", &ids[..1]);
    side.raw.execute("DELETE FROM requests WHERE verb = 'delete'", []).expect("it is there");
    assert_eq!(apply(&side.backend), 4);
    assert_eq!(whats(&side.backend, ids[0]), ["update", "update", "cancel", "request refused"]);
}

#[test]
fn rm28_a_request_waits_behind_one_of_its_job_that_failed_in_an_earlier_round() {
    let side = Side::new();
    let ids = stored(&side, 2);
    let absent: Vec<JobId> = (0..250).map(|_| side.file.job().id).collect();
    stop_updates(&side);
    update(&side.raw, &ids[..1]);
    store(&side.raw, "cancel", &absent);
    store(&side.raw, "cancel", &ids);

    let rounds = [(); 3].map(|()| promote(&side.backend));

    assert_eq!(rounds.iter().map(|round| round.done).collect::<Vec<_>>(), [99, 100, 52]);
    assert_eq!(rounds.iter().map(|round| round.more).collect::<Vec<_>>(), [true, true, false]);
    assert!(rounds[2].next_due.is_some(), "the pass ends with requests to be tried again");
    assert_eq!(state(&side.backend, ids[0]), Some(JobState::Available));
    assert_eq!(state(&side.backend, ids[1]), Some(JobState::Cancelled));
    resume(&side);
    assert_eq!(apply(&side.backend), 2);
    assert_eq!(whats(&side.backend, ids[0]), ["update", "cancel"]);
    assert_eq!(promote(&side.backend).next_due, None, "none is left");
}
