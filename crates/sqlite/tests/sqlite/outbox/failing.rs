//! Requests that fail: the order in which they are applied, and when they are set aside (RM27, RM28).

use std::time::Duration;

use gristmill_core::{Backend, Call, Clock, Hint, JobId, JobState, Maintained, SystemClock, Timestamp};
use gristmill_testkit::block_on;
use gristmill_testkit::requested::{apply, promote, state, whats};
use rusqlite::Connection;

use super::answer::{REQUEST, send};
use super::apply::{left, store, stored};
use super::request;
use super::twins::Side;
use super::wake::{await_hint, listen};

const MINUTE: Duration = Duration::from_secs(60);

/// Stores updates that change nothing.
fn update(raw: &Connection, ids: &[JobId]) {
    let patch = gristmill_core::JobPatch::default();
    send(raw, *REQUEST, &request::request("update", ids, None, Some(&patch)));
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

fn promote_at(side: &Side, now: Timestamp) -> Maintained {
    block_on(side.backend.promote(Call::at(now), 1_000)).expect("a round")
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

#[test]
fn a_request_that_fails_for_five_minutes_is_set_aside_and_later_ones_of_its_job_are_applied() {
    let side = Side::new();
    let ids = stored(&side, 1);
    stop_updates(&side);
    update(&side.raw, &ids);
    store(&side.raw, "cancel", &ids);
    let begun = SystemClock.now();
    for second in 0..20 {
        let round = promote_at(&side, begun + Duration::from_secs(second));
        assert!(round.done == 0 && round.next_due.is_some(), "{second}: {round:?}");
    }
    assert_eq!(promote_at(&side, begun + 4 * MINUTE).done, 0);

    let round = promote_at(&side, begun + 5 * MINUTE);

    assert_eq!((round.done, state(&side.backend, ids[0])), (2, Some(JobState::Cancelled)));
    let row = "SELECT request, verb, fault FROM requests";
    let row = side.raw.query_row(row, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    let wanted = (1, "update".to_owned(), "it failed 22 times: no updates".to_owned());
    assert_eq!(row, Ok::<(i64, String, String), _>(wanted));
    // An operator who has mended what was wrong has it tried again.
    resume(&side);
    side.raw.execute("UPDATE requests SET fault = NULL", []).expect("it is there");
    assert_eq!(apply(&side.backend), 1);
    assert_eq!(whats(&side.backend, ids[0]), ["cancel", "request refused"]);
}

#[test]
fn a_request_that_failed_a_few_times_long_ago_is_not_set_aside() {
    let side = Side::new();
    let ids = stored(&side, 1);
    stop_updates(&side);
    update(&side.raw, &ids);
    let begun = SystemClock.now();
    for hour in 0..4 {
        assert_eq!(promote_at(&side, begun + 60 * hour * MINUTE).done, 0, "{hour}");
    }
    assert_eq!(promote_at(&side, begun + 240 * MINUTE).done, 1, "the fifth time");
}

/// What is wrong with the schema is wrong with every request.
#[test]
fn a_request_that_the_schema_keeps_from_being_applied_is_not_set_aside() {
    let side = Side::new();
    let ids = stored(&side, 1);
    let broken =
        "CREATE TRIGGER stop BEFORE INSERT ON events BEGIN INSERT INTO missing (what) VALUES (new.what); END";
    side.raw.execute_batch(broken).expect("it is made");
    store(&side.raw, "cancel", &ids);
    let begun = SystemClock.now();
    for minute in 0..20 {
        let round = promote_at(&side, begun + minute * MINUTE);
        assert_eq!(round.done, 0, "{minute}");
    }
    resume(&side);
    assert_eq!(apply(&side.backend), 1);
    assert_eq!(state(&side.backend, ids[0]), Some(JobState::Cancelled));
}
