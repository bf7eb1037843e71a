//! Cancel and update against what the backend does.

use std::time::Duration;

use gristmill_core::{
    Args, Backend, Call, Decision, Ending, EnqueueRequest, FetchedJob, FinishItem, FinishRequest, Finished,
    JobFilter, JobId, JobPatch, JobRecord, JobState, NewJob, Priority, Retention, RunError, Timestamp,
    UniqueKey, VerbRequest, Verdict, When,
};
use gristmill_postgres::Postgres;
use gristmill_testkit::block_on;
use serde_json::{Value, json};

use super::{Caller, about, storing};
use crate::fixture::{Schema, complete, count, fetch, register};

const HOUR: Duration = Duration::from_secs(3600);
const LATER: Timestamp = Timestamp::from_millis(4_102_444_800_000);

fn store(backend: &Postgres, jobs: Vec<NewJob>) {
    block_on(backend.enqueue(Call::new(), EnqueueRequest::new(jobs))).expect("they are stored");
}

fn finish(backend: &Postgres, jobs: Vec<FetchedJob>, item: impl Fn(FetchedJob) -> FinishItem) {
    let items = jobs.into_iter().map(item).collect();
    let reply = block_on(backend.finish(Call::new(), FinishRequest::new(items))).expect("it is answered");
    assert!(reply.items.iter().all(|finished| matches!(finished, Finished::Accepted { .. })), "{reply:?}");
}

fn record(backend: &Postgres, id: JobId) -> Option<JobRecord> {
    block_on(backend.get(Call::new(), vec![id])).expect("it is answered").remove(0)
}

/// Two jobs in each state that are alike, but for their unique keys, by the order of the states.
fn pairs(schema: &Schema, backend: &Postgres) -> Vec<(JobState, [JobId; 2])> {
    let worker = register(backend);
    let pair = |place: usize, state: JobState| {
        let mut jobs = [schema.job(), schema.job()];
        for (which, job) in jobs.iter_mut().enumerate() {
            job.spec.unique_key = Some(UniqueKey::new(format!("{place} {which}")).expect("it is a key"));
            job.spec.retention = place.is_multiple_of(2).then(|| Box::new(Retention::all(HOUR)));
            job.when = match state {
                JobState::Suspended => When::Suspended,
                JobState::Scheduled => When::At(LATER),
                _ => When::Now,
            };
        }
        let ids = [jobs[0].id, jobs[1].id];
        store(backend, jobs.to_vec());
        let runs = !matches!(state, JobState::Suspended | JobState::Scheduled | JobState::Available);
        let leased = if runs { fetch(backend, worker, place as u64 + 1, 10) } else { Vec::new() };
        assert_eq!(leased.len(), if runs { 2 } else { 0 }, "{state}");
        match state {
            JobState::Retryable => {
                finish(backend, leased, |job| FinishItem::fail(job.lease, HOUR, RunError::new("no")));
            }
            JobState::Completed => finish(backend, leased, |job| FinishItem::complete(job.lease)),
            JobState::Cancelled => {
                finish(backend, leased, |job| {
                    FinishItem::new(job.lease, Decision::Cancel, Ending::Cancelled)
                });
            }
            JobState::Discarded => {
                finish(backend, leased, |job| {
                    FinishItem::new(job.lease, Decision::Discard, Ending::Discarded)
                });
            }
            _ => {}
        }
        for id in ids {
            assert_eq!(record(backend, id).expect("it is there").state, state);
        }
        (state, ids)
    };
    // The available ones come last, so that nobody fetches them for another state.
    let mut states: Vec<JobState> = JobState::ALL.to_vec();
    states.sort_by_key(|state| *state == JobState::Available);
    states.into_iter().enumerate().map(|(place, state)| pair(place, state)).collect()
}

/// What is the same of two jobs that are alike and that the same was done to, a moment apart.
fn comparable(record: Option<JobRecord>, zero: &JobRecord) -> Option<JobRecord> {
    record.map(|mut record| {
        let flat = |at: Timestamp| if at == LATER { at } else { Timestamp::EPOCH };
        record.id = zero.id;
        record.spec.unique_key = None;
        record.run_at = flat(record.run_at);
        record.created_at = Timestamp::EPOCH;
        record.finished_at = record.finished_at.map(flat);
        record.attempted_at = record.attempted_at.map(flat);
        for error in &mut record.errors {
            error.at = Timestamp::EPOCH;
        }
        record
    })
}

fn as_answered(verdict: &Verdict) -> Value {
    match verdict {
        Verdict::Done => json!({"verdict": "done"}),
        Verdict::Requested => json!({"verdict": "requested"}),
        Verdict::AlreadyTerminal => json!({"verdict": "already_terminal"}),
        Verdict::Refused(state) => json!({"verdict": "refused", "state": state.as_str()}),
        other => panic!("{other:?}"),
    }
}

fn events(backend: &Postgres, id: JobId) -> Vec<(String, Option<String>)> {
    let events = block_on(backend.list_events(Call::new(), id)).expect("it is answered");
    events.into_iter().map(|event| (event.what, event.actor)).collect()
}

/// Does the same to both of each pair, by the backend and by the function, and compares all there is.
fn assert_alike(
    schema: &Schema,
    verb: &str,
    more: &str,
    act: impl Fn(&Postgres, VerbRequest) -> Verdict,
) -> Vec<(JobState, [JobId; 2])> {
    let backend = schema.open();
    let caller = Caller::of(schema);
    let pairs = pairs(schema, &backend);
    let zero = record(&backend, pairs[0].1[0]).expect("it is there");
    for (state, [ours, theirs]) in &pairs {
        let verdict = act(&backend, VerbRequest::ids(vec![*ours]).by("me"));
        let answer = caller.ask(verb, &about(&[*theirs], &format!(r#","actor":"me"{more}"#)));
        assert_eq!(answer["verdicts"], json!([as_answered(&verdict)]), "{state}");
        let (ours_now, theirs_now) = (record(&backend, *ours), record(&backend, *theirs));
        assert_eq!(comparable(theirs_now, &zero), comparable(ours_now, &zero), "{state}");
        assert_eq!(events(&backend, *theirs), events(&backend, *ours), "{state}");
        let rows = |id: JobId| {
            schema.psql(&format!(
                "SELECT (SELECT count(*) FROM {{schema}}.uniques WHERE id = '{id}'),
                    (SELECT delete_at - finished_at FROM {{schema}}.ended WHERE id = '{id}'),
                    (SELECT count(*) FROM {{schema}}.claims WHERE '{id}' = ANY (cancels))"
            ))
        };
        assert_eq!(rows(*theirs), rows(*ours), "{state}");
    }
    pairs
}

#[test]
fn a_cancel_does_in_each_state_what_the_backend_does() {
    let schema = Schema::new();
    let pairs = assert_alike(&schema, "cancel", "", |backend, request| {
        block_on(backend.cancel(Call::new(), request)).expect("it is answered").jobs.remove(0).1
    });
    let running = pairs.iter().find(|(state, _)| *state == JobState::Running).expect("it is one").1;
    assert!(record(&schema.open(), running[1]).expect("it is there").cancel_requested);
}

#[test]
fn an_update_does_in_each_state_what_the_backend_does() {
    for (more, when) in [
        ("", None),
        (r#","now":true"#, Some(When::Now)),
        (r#","delay_ms":0"#, Some(When::After(Duration::ZERO))),
        (r#","delay_ms":3600000"#, Some(When::After(HOUR))),
        (r#","at_ms":4102444800000"#, Some(When::At(LATER))),
        (r#","at_ms":0"#, Some(When::At(Timestamp::EPOCH))),
    ] {
        let schema = Schema::new();
        let patch = format!(r#","patch":{{"priority":-7,"max_attempts":3,"args":"[\"é\"]"{more}}}"#);
        assert_alike(&schema, "update", &patch, |backend, request| {
            let mut patch = JobPatch::default();
            patch.priority = Some(Priority::new(-7).expect("it is one"));
            patch.max_attempts = std::num::NonZeroU16::new(3);
            patch.args = Some(Args::from_json("[\"é\"]").expect("it is JSON"));
            patch.when = when;
            block_on(backend.update(Call::new(), request, patch)).expect("it is answered").jobs.remove(0).1
        });
    }
}

#[test]
fn an_update_of_nothing_changes_nothing_but_is_noted() {
    let schema = Schema::new();
    assert_alike(&schema, "update", r#","patch":{}"#, |backend, request| {
        let patch = JobPatch::default();
        block_on(backend.update(Call::new(), request, patch)).expect("it is answered").jobs.remove(0).1
    });
}

#[test]
fn a_cancel_of_a_running_job_wins_over_its_finish() {
    let schema = Schema::new();
    let backend = schema.open();
    let worker = register(&backend);
    let ids = schema.enqueue(&backend, 3);
    let leased = fetch(&backend, worker, 1, 3);
    let answer = Caller::of(&schema).ask("cancel", &about(&[ids[1]], ""));
    assert_eq!(answer["verdicts"][0]["verdict"], "requested");
    let cancelled = Finished::Accepted { state: JobState::Cancelled };
    let completed = Finished::Accepted { state: JobState::Completed };
    let finished = complete(&backend, leased.clone());
    let of = |id: JobId| finished[leased.iter().position(|job| job.lease.job == id).expect("it was fetched")];
    assert_eq!(ids.iter().map(|id| of(*id)).collect::<Vec<_>>(), [completed, cancelled, completed]);
}

#[test]
fn a_cancelled_job_that_is_not_kept_leaves_nothing_and_its_claims_finish_the_others() {
    let schema = Schema::new();
    let backend = schema.open();
    let worker = register(&backend);
    let mut jobs = vec![schema.job(), schema.job()];
    jobs[0].spec.retention = Some(Box::new(Retention::all(Duration::ZERO)));
    jobs[0].spec.unique_key = Some(UniqueKey::new("k").expect("it is a key"));
    let id = jobs[0].id;
    let caller = Caller::of(&schema);
    caller.ask("enqueue", &storing(&jobs));
    // It has run and waits for another run, while its first claim is still open for the other job.
    let mut leased = fetch(&backend, worker, 1, 10);
    leased.sort_by_key(|job| job.lease.job != id);
    let other = leased.split_off(1);
    finish(&backend, leased, |job| FinishItem::fail(job.lease, HOUR, RunError::new("no")));

    assert_eq!(caller.ask("cancel", &about(&[id], ""))["verdicts"][0]["verdict"], "done");

    let tables = ["jobs", "ready", "waiting", "ended", "uniques", "events", "attempts"];
    for table in tables {
        assert_eq!(
            caller.value(&format!("SELECT count(*) FROM {{schema}}.{table} WHERE id = '{id}'")),
            "0",
            "{table}"
        );
    }
    assert_eq!(caller.value("SELECT string_agg(cancels::text, ' ') FROM {schema}.claims"), "{}");
    assert_eq!(complete(&backend, other), [Finished::Accepted { state: JobState::Completed }]);
    assert_eq!(caller.ask("enqueue", &storing(&jobs[..1]))["answers"], json!([{"created": true}]));
}

#[test]
fn a_cancel_and_fetches_at_once_end_each_job_or_ask_its_run() {
    let schema = Schema::new();
    let backend = schema.open();
    let ids = schema.enqueue(&backend, 300);
    let verdicts = std::thread::scope(|scope| {
        let cancelling = scope.spawn(|| {
            let caller = Caller::of(&schema);
            ids.rchunks(10)
                .flat_map(|ids| {
                    let answer = caller.ask("cancel", &about(ids, ""));
                    let verdicts = answer["verdicts"].as_array().expect("it is a list").clone();
                    ids.iter().copied().zip(verdicts).collect::<Vec<_>>()
                })
                .collect::<Vec<_>>()
        });
        let worker = register(&backend);
        let mut claim = 0;
        while !cancelling.is_finished() {
            claim += 1;
            let leased = fetch(&backend, worker, claim, 10);
            complete(&backend, leased);
        }
        cancelling.join().expect("it ends")
    });
    assert_eq!(verdicts.len(), ids.len());
    for (id, verdict) in verdicts {
        let state = record(&backend, id).expect("it is there").state;
        let expected = match verdict["verdict"].as_str().expect("it is text") {
            "already_terminal" => JobState::Completed,
            _ => JobState::Cancelled,
        };
        assert_eq!(state, expected, "{id} {verdict}");
    }
    assert_eq!(count(&backend, JobFilter::new()), 300);
}
