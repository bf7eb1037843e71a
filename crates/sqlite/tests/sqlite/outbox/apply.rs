//! Requests that a caller's transaction stores and `promote` applies.

use gristmill_core::{Backend, Call, JobEvent, JobId, JobState, Maintained};
use gristmill_testkit::block_on;
use serde_json::json;

use super::answer::{REQUEST, send};
use super::request;
use super::twins::Side;
use crate::fixture::{enqueue, fetch, register};

fn promote(side: &Side) -> Maintained {
    block_on(side.backend.promote(Call::new(), 1_000)).expect("a round")
}

fn state(side: &Side, id: JobId) -> Option<JobState> {
    block_on(side.backend.get(Call::new(), vec![id])).expect("it is read").remove(0).map(|job| job.state)
}

fn events(side: &Side, id: JobId) -> Vec<JobEvent> {
    block_on(side.backend.list_events(Call::new(), id)).expect("they are read")
}

#[test]
fn a_cancel_is_stored_with_a_receipt_and_applied_by_the_next_round() {
    let side = Side::new();
    let jobs = side.file.jobs(2);
    enqueue(&side.backend, jobs.clone()).unwrap();
    let ids = [jobs[0].id, jobs[1].id];

    let answer = send(&side.raw, REQUEST, &request::request("cancel", &ids, Some("ops"), None));

    assert_eq!(answer, json!({"requests": [1, 2]}));
    assert_eq!(state(&side, ids[0]), Some(JobState::Available));
    assert_eq!(promote(&side).done, 2);
    for id in ids {
        assert_eq!(state(&side, id), Some(JobState::Cancelled));
        let events = events(&side, id);
        assert_eq!((events.len(), events[0].actor.as_deref()), (1, Some("ops")), "{events:?}");
    }
    let answer = send(&side.raw, REQUEST, &request::request("delete", &ids[..1], None, None));
    assert_eq!(answer, json!({"requests": [3]}));
    assert_eq!(promote(&side).done, 1);
    assert_eq!(state(&side, ids[0]), None);
}

#[test]
fn a_refused_request_leaves_an_event() {
    let side = Side::new();
    let job = side.file.job();
    enqueue(&side.backend, vec![job.clone()]).unwrap();
    let worker = register(&side.backend);
    fetch(&side.backend, worker, 1, 1);
    send(&side.raw, REQUEST, &request::request("delete", &[job.id], Some("ops"), None));
    promote(&side);
    let events = events(&side, job.id);
    let event = events.last().expect("one");
    assert_eq!((event.what.as_str(), event.actor.as_deref()), ("request refused", Some("ops")));
    assert_eq!(event.detail.as_deref(), Some("delete: the job is running"));
}
