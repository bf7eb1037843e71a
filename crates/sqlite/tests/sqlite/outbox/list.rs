//! Lists of the newest jobs inside a caller's transaction.

use gristmill_core::{IdSource, JobId, NewJob, Timestamp};
use serde_json::{Value, json};

use super::answer::{ENQUEUE, GET, LIST, send};
use super::request;
use super::twins::Side;
use crate::fixture::{enqueue, fetch, name, register};

fn list(side: &Side, filter: Value) -> Value {
    send(&side.raw, *LIST, &request::list(filter))
}

fn ids(listed: &Value) -> Vec<JobId> {
    let jobs = listed["jobs"].as_array().expect("a list");
    jobs.iter().map(|job| job["id"].as_str().expect("an id").parse().expect("an id")).collect()
}

/// The newest first.
fn newest(jobs: &[NewJob]) -> Vec<JobId> {
    let mut ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    ids.sort_by(|one, other| other.cmp(one));
    ids
}

#[test]
fn a_list_shows_the_newest_jobs_first_as_get_shows_them_and_the_callers_own() {
    let side = Side::new();
    assert_eq!(list(&side, json!({})), json!({"jobs": [], "more": false}));
    let mut jobs = side.file.jobs(5);
    enqueue(&side.backend, jobs[..3].to_vec()).unwrap();
    side.raw.execute_batch("BEGIN IMMEDIATE").unwrap();
    send(&side.raw, *ENQUEUE, &request::enqueue(&jobs[3..]));
    let listed = list(&side, json!({}));
    assert_eq!((ids(&listed), &listed["more"]), (newest(&jobs), &json!(false)));
    assert_eq!(listed["jobs"], send(&side.raw, *GET, &request::ids(&newest(&jobs)))["jobs"]);
    side.raw.execute_batch("ROLLBACK").unwrap();
    jobs.truncate(3);
    assert_eq!(ids(&list(&side, json!({}))), newest(&jobs));
}

#[test]
fn a_list_is_filtered_and_bounded() {
    let side = Side::new();
    let mut jobs = side.file.jobs(120);
    for (number, job) in jobs.iter_mut().enumerate() {
        if number % 3 == 0 {
            job.spec.queue = name("other");
        }
        if number % 2 == 0 {
            job.spec.kind = name("x");
        }
    }
    enqueue(&side.backend, jobs.clone()).unwrap();
    let worker = register(&side.backend);
    let running: Vec<JobId> = fetch(&side.backend, worker, 1, 7).iter().map(|job| job.lease.job).collect();
    let matching = |filter: &dyn Fn(&NewJob) -> bool| {
        newest(&jobs.iter().filter(|job| filter(job)).cloned().collect::<Vec<_>>())
    };
    let is_other = |job: &NewJob| job.spec.queue == name("other");
    let is_running = |job: &NewJob| running.contains(&job.id);
    let cases = [
        (json!({"queue": "other"}), matching(&is_other)),
        (
            json!({"kind": "x", "queue": "line"}),
            matching(&|job| job.spec.kind == name("x") && !is_other(job)),
        ),
        (json!({"state": "running"}), matching(&is_running)),
        (json!({"state": "available", "queue": "other", "kind": null}), matching(&is_other)),
        (json!({"queue": "none"}), Vec::new()),
    ];
    for (filter, wanted) in cases {
        let listed = list(&side, filter.clone());
        assert_eq!((ids(&listed), &listed["more"]), (wanted, &json!(false)), "{filter}");
    }
    for (limit, most) in
        [(json!(1), 1), (json!(40), 40), (json!(0), 1), (json!(1_000), 100), (json!(null), 100)]
    {
        let listed = list(&side, json!({"limit": limit}));
        assert_eq!(
            (ids(&listed), &listed["more"]),
            (newest(&jobs)[..most].to_vec(), &json!(true)),
            "{limit}"
        );
    }
    let all = list(&side, json!({"limit": 40, "queue": "other"}));
    assert_eq!((ids(&all).len(), &all["more"]), (40, &json!(false)));
}

#[test]
fn a_list_looks_at_the_newest_ten_thousand_jobs_and_no_more() {
    let side = Side::new();
    let mut old = side.file.job();
    old.id = IdSource::new().next(Timestamp::from_millis(1));
    old.spec.kind = name("old");
    enqueue(&side.backend, vec![old.clone()]).unwrap();
    enqueue(&side.backend, side.file.jobs(9_999)).unwrap();
    assert_eq!(ids(&list(&side, json!({"kind": "old"}))), [old.id]);
    enqueue(&side.backend, side.file.jobs(1)).unwrap();
    assert_eq!(list(&side, json!({"kind": "old"})), json!({"jobs": [], "more": false}));
}
