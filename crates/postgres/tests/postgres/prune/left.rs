//! What is left of a job once it is erased, or was to be.

use std::time::Duration;

use gristmill_core::{
    Backend as _, Call, Clock as _, EnqueueRequest, FinishItem, FinishRequest, Finished, IdSource, JobEvent,
    JobId, JobPatch, JobState, LogLine, NewJob, RecordRequest, Retention, SystemClock, Timestamp, UniqueKey,
    VerbRequest,
};
use gristmill_postgres::Postgres;
use gristmill_testkit::block_on;

use super::{partitions_from, past_partition, prune};
use crate::fixture::{Schema, complete, fetch, register, runtime};
use crate::maintain::connect;

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// The tables that hold a row of a job. Noted deletions are hints, and settled when they are due.
fn tables_with(schema: &Schema, id: JobId) -> Vec<String> {
    let tables = schema.psql(&format!(
        "SELECT relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace \
         JOIN pg_attribute ON attrelid = pg_class.oid AND attname = 'id' AND atttypid = 'uuid'::regtype \
         WHERE nspname = '{}' AND relkind IN ('r', 'p') AND relname NOT IN ('expiries', 'changes')",
        schema.name
    ));
    assert!(tables.lines().count() > 9, "{tables}");
    let holds = |table: &&str| {
        schema.psql(&format!("SELECT count(*) FROM {{schema}}.{table} WHERE id = '{id}'")) != "0"
    };
    tables.lines().filter(holds).map(str::to_owned).collect()
}

/// A job whose id was made at an instant.
fn made_at(schema: &Schema, ids: &IdSource, at: Timestamp) -> NewJob {
    let mut job = schema.job();
    job.id = ids.next(at);
    job
}

fn put(backend: &Postgres, job: NewJob) {
    block_on(backend.enqueue(Call::new(), EnqueueRequest::new(vec![job]))).expect("it is stored");
}

/// A job with a row in each table: retried by hand, with a key, records, lines and events, and completed once
/// more.
fn job_with_all(schema: &Schema, backend: &Postgres, retention: Duration) -> JobId {
    let mut job = schema.job();
    job.spec.unique_key = Some(UniqueKey::new("key").expect("a key"));
    job.spec.retention = Some(Box::new(Retention::all(retention)));
    let id = job.id;
    put(backend, job);
    let worker = register(backend);
    for claim in 1..3 {
        let lease = fetch(backend, worker, claim, 1).remove(0).lease;
        let mut record = RecordRequest::new(lease.clone());
        record.progress = Some(50);
        record.log = vec![LogLine::new(SystemClock.now(), "half")];
        block_on(backend.record(Call::new(), record)).expect("it is kept");
        if claim == 1 {
            // It leaves a run and an event.
            let item = FinishItem::give_back(lease, Duration::ZERO);
            block_on(backend.finish(Call::new(), FinishRequest::new(vec![item]))).expect("it is given back");
            block_on(backend.retry(Call::new(), VerbRequest::ids(vec![id]))).expect("it is retried");
        } else {
            block_on(backend.finish(Call::new(), FinishRequest::new(vec![FinishItem::complete(lease)])))
                .expect("it completes");
        }
    }
    id
}

#[test]
fn nothing_is_left_of_an_erased_job() {
    type Erase = fn(&Schema, &Postgres, JobId);
    let ways: [(&str, Duration, Erase); 3] = [
        ("retention of zero", Duration::ZERO, |_, _, _| ()),
        ("deleted", DAY, |_, backend, id| {
            block_on(backend.delete(Call::new(), VerbRequest::ids(vec![id]))).expect("it is deleted");
        }),
        ("pruned", DAY, |schema, backend, _| {
            schema.psql(
                "UPDATE {schema}.attempts SET finished_at = 0; UPDATE {schema}.expiries SET delete_at = 0",
            );
            assert_eq!(prune(backend).done, 1);
        }),
    ];
    for (way, retention, erase) in ways {
        let schema = Schema::new();
        let backend = schema.open();
        let id = job_with_all(&schema, &backend, retention);
        erase(&schema, &backend, id);
        assert_eq!(tables_with(&schema, id), Vec::<String>::new(), "{way}");
    }
}

#[test]
fn nothing_is_left_of_a_job_that_went_with_its_partition() {
    let schema = Schema::new();
    let backend = schema.open();
    let begin = past_partition(&schema);
    super::completed(&schema, begin, 100);
    let id = super::job(&schema, begin, 7);
    schema.psql(&format!(
        "INSERT INTO {{schema}}.events (id, at, what) VALUES ('{id}', 0, 'cancel'); \
         INSERT INTO {{schema}}.records (id, run) VALUES ('{id}', 1); \
         INSERT INTO {{schema}}.logs VALUES ('{id}', 1, 1, 0, 'half'); \
         INSERT INTO {{schema}}.retried VALUES ('{id}', 0)"
    ));

    prune(&backend);

    assert_eq!(partitions_from(&schema, begin), 0);
    assert_eq!(tables_with(&schema, id), Vec::<String>::new());
    assert_eq!(schema.psql("SELECT count(*) FROM {schema}.changes"), "0");
}

#[test]
fn a_claim_does_not_list_a_job_that_went_with_its_partition() {
    partition_goes(false);
}

/// What failed once is tried again before the partition goes.
#[test]
fn a_claim_that_was_locked_does_not_list_a_job_that_went_with_its_partition_later() {
    partition_goes(true);
}

/// A partition goes while a claim lists a job of it, which another transaction has locked at first or not.
fn partition_goes(is_locked: bool) {
    let schema = Schema::new();
    let backend = schema.open();
    let begin = past_partition(&schema);
    let ids = IdSource::new();
    let past = Timestamp::from_millis(begin) + Duration::from_secs(60);
    let jobs: Vec<NewJob> = (0..2).map(|_| made_at(&schema, &ids, past)).collect();
    for job in &jobs {
        put(&backend, job.clone());
    }
    let fetched = fetch(&backend, register(&backend), 1, 2);
    let (gone, stays) = (fetched[0].lease.clone(), fetched[1].lease.clone());
    complete(&backend, vec![fetched[0].clone()]);
    schema.psql("UPDATE {schema}.attempts SET finished_at = finished_at - 100000000");
    schema.psql("UPDATE {schema}.expiries SET delete_at = delete_at + 100000000");
    if is_locked {
        let mut client = connect();
        runtime().block_on(async {
            let tx = client.transaction().await.expect("it begins");
            let lock = format!("SELECT FROM \"{}\".claims FOR UPDATE", schema.name);
            tx.batch_execute(&lock).await.expect("it is locked");
            backend.prune(Call::new(), super::LIMIT).await.expect("it waits for nobody");
            tx.rollback().await.expect("it ends");
        });
        assert_ne!(partitions_from(&schema, begin), 0);
    }
    // Another process: this one waits before it tries again.
    prune(&schema.open());
    assert_eq!((partitions_from(&schema, begin), super::state(&backend, gone.job)), (0, None));

    put(&backend, jobs.into_iter().find(|job| job.id == gone.job).expect("one of them"));
    let items = [gone.clone(), stays].map(FinishItem::complete).to_vec();
    let answers = block_on(backend.finish(Call::new(), FinishRequest::new(items))).expect("it is answered");

    assert!(matches!(answers.items[0], Finished::LeaseLost { .. }), "{answers:?}");
    assert_eq!(answers.items[1], Finished::Accepted { state: JobState::Completed });
    assert_eq!(super::state(&backend, gone.job), Some(JobState::Available));
}

#[test]
fn no_more_events_of_a_job_are_stored_than_it_keeps() {
    let schema = Schema::new();
    let backend = schema.open();
    let id = schema.enqueue(&backend, 1)[0];
    let ids = vec![id; JobEvent::KEPT + 7];
    let mut patch = JobPatch::default();
    patch.priority = Some(gristmill_core::Priority::new(3).expect("one"));
    block_on(backend.update(Call::new(), VerbRequest::ids(ids), patch)).expect("it is changed");
    assert_eq!(schema.psql("SELECT count(*) FROM {schema}.events"), JobEvent::KEPT.to_string());
}

#[test]
fn a_deletion_that_comes_too_early_is_noted_again() {
    let schema = Schema::new();
    let backend = schema.open();
    let mut job = schema.job();
    job.spec.retention = Some(Box::new(Retention::all(10 * DAY)));
    let id = job.id;
    put(&backend, job);
    complete(&backend, fetch(&backend, register(&backend), 1, 1));
    schema.psql("UPDATE {schema}.expiries SET delete_at = 0");

    assert_eq!((prune(&backend).done, super::state(&backend, id)), (0, Some(JobState::Completed)));

    let noted = "SELECT delete_at - finished_at FROM {schema}.expiries JOIN {schema}.attempts USING (id)";
    assert_eq!(schema.psql(noted), (10 * DAY).as_millis().to_string());
}

#[test]
fn a_job_that_completes_long_after_it_was_made_has_its_deletion_noted() {
    let schema = Schema::new();
    let backend = schema.open();
    let made = SystemClock.now() - Duration::from_secs(20 * 3_600);
    // One ends by the quick way, one by the thorough one.
    for key in [None, Some("key")] {
        let mut job = made_at(&schema, &IdSource::new(), made);
        job.spec.unique_key = key.map(|key| UniqueKey::new(key).expect("a key"));
        let id = job.id;
        put(&backend, job);
        complete(&backend, fetch(&backend, register(&backend), 1, 1));
        let noted = format!("SELECT count(*) FROM {{schema}}.expiries WHERE id = '{id}'");
        assert_eq!(schema.psql(&noted), "1", "{key:?}");
    }
}
