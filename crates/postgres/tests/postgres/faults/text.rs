//! Texts that break what is not made for them: quotes, `;--`, NUL, bytes that are no text.

use std::num::NonZeroU16;

use gristmill_core::{
    Args, Backend, BackendErrorKind, Call, Clock as _, Decision, Ending, EnqueueRequest, Enqueued,
    ExistingBy, FinishItem, FinishRequest, Finished, JobFilter, JobState, ListRequest, LogLine, Metadata,
    Name, Output, PauseRequest, RecordRequest, RegisterWorker, RunError, SystemClock, UniqueKey, VerbRequest,
    WorkerId,
};
use gristmill_postgres::Postgres;
use gristmill_testkit::block_on;
use gristmill_testserver::Postgres as Server;

use super::site::{Site, finish};
use crate::fixture::{complete, count, fetch, name, register, runtime};

const NASTY: &str = "it's \"quoted\"; DROP TABLE jobs;-- $1 \\ {} %s é \u{1f980}";
const COMPLETED: Finished = Finished::Accepted { state: JobState::Completed };

/// The text with a NUL in it, and as it is stored: PostgreSQL has no such character.
fn with_nul() -> (String, String) {
    (format!("{NASTY}\0end"), format!("{NASTY}\u{fffd}end"))
}

/// All of a job's life in a schema, seen by a process that opens it anew.
fn live(site: &Site, backend: &Postgres) {
    let ids = site.put(backend, 4);
    let worker = register(backend);
    let mut jobs = fetch(backend, worker, 1, 3);
    let last = jobs.pop().expect("there are three");
    assert_eq!(complete(backend, jobs), [COMPLETED, COMPLETED]);
    let snoozed =
        FinishItem::new(last.lease, Decision::SnoozeAfter(std::time::Duration::ZERO), Ending::Snoozed);
    assert!(matches!(finish(backend, snoozed), Finished::Accepted { .. }));
    block_on(backend.promote(Call::new(), 10)).expect("it promotes");
    block_on(backend.rescue(Call::new(), 10)).expect("it rescues");
    block_on(backend.prune(Call::new(), 10)).expect("it prunes");
    block_on(backend.audit(Call::new(), None, 10)).expect("it audits");
    block_on(backend.cancel(Call::new(), VerbRequest::ids(vec![ids[3]]))).expect("it cancels");
    for finding in block_on(backend.diagnose(Call::new())).expect("it examines") {
        assert!(finding.ok || finding.check == "durability", "{finding:?}");
    }
    let again = site.open();
    let number = |state| count(&again, JobFilter::new().state(state));
    assert_eq!([number(JobState::Completed), number(JobState::Cancelled)], [2, 1]);
    let page = block_on(again.list(Call::new(), ListRequest::new(JobFilter::new()))).expect("it lists");
    assert_eq!(page.items.len(), 4);
}

#[test]
fn schemas_may_have_any_name() {
    let url = Server::shared().fresh_database();
    for schema in [
        "a\"b; DROP SCHEMA public CASCADE;--",
        "it's",
        "$1",
        "Gristmill.jobs",
        "gristmill.",
        "select",
        "é\u{1f980} \\",
    ] {
        let site = Site::empty(&url, schema);
        site.migrate();
        live(&site, &site.open());
    }
    let raw = Site::empty(&url, "public").raw();
    assert_eq!(raw.value("SELECT count(*) FROM pg_namespace WHERE nspname = 'public'"), "1");
    let long = "x".repeat(63);
    Site::empty(&url, &long).migrate();
    for schema in ["", "a\0b", &"x".repeat(64)] {
        let builder = Postgres::builder(&url).expect("the URL parses").schema(schema);
        let _runtime = runtime().enter();
        let error = builder.open().expect_err("it is no name");
        assert_eq!(error.kind(), BackendErrorKind::Refused);
    }
}

#[test]
fn a_schema_named_in_a_url_is_decoded() {
    let url = Server::shared().fresh_database();
    let site = Site::empty(&url, "a\"b;--");
    site.migrate();
    let _runtime = runtime().enter();
    let builder = Postgres::builder(&format!("{url}?schema=a%22b%3B--")).expect("the URL parses");
    site.put(&builder.open().expect("it opens"), 1);
    assert_eq!(count(&site.open(), JobFilter::new()), 1);
}

#[test]
fn names_with_quotes_are_no_names() {
    for text in [NASTY, "a'b", "a\"b", "a;--", "a\0b", "a b"] {
        Name::new(text).expect_err(text);
    }
    UniqueKey::new("a\0b").expect_err("a key has no NUL");
}

#[test]
fn keys_metadata_and_args_are_stored_as_they_are() {
    let site = Site::shared();
    let backend = site.open();
    // NUL, a lone surrogate in UTF-8, one in JSON, and bytes that are no text at all.
    let args: [&[u8]; 5] =
        [b"\0", b"{\"a\":\"\xed\xa0\x80\"}", br#"{"a":"\ud800"}"#, b"\xff\xfe\0'\";--", NASTY.as_bytes()];
    let mut jobs = site.jobs(args.len());
    for (job, args) in jobs.iter_mut().zip(args) {
        job.spec.args = Args::from_stored(args.to_vec());
        job.spec.metadata = Metadata::new().with(with_nul().0, with_nul().0).with("$1", "\u{0}");
        job.spec.max_attempts = NonZeroU16::MAX;
        job.spec.tags = vec![name("a:b/c.d-_")];
    }
    jobs[0].spec.unique_key = Some(UniqueKey::new(NASTY).expect("it is a key"));
    let request = EnqueueRequest::new(jobs.clone());
    let reply = block_on(backend.enqueue(Call::new(), request)).expect("they are stored");
    assert_eq!(reply.jobs, vec![Enqueued::Created; args.len()]);

    let found = block_on(site.open().get(Call::new(), jobs.iter().map(|job| job.id).collect()));
    for (job, found) in jobs.iter().zip(found.expect("it is answered")) {
        assert_eq!(found.expect("it is there").spec, job.spec);
    }
    let mut same = site.job();
    same.spec.unique_key = jobs[0].spec.unique_key.clone();
    let reply =
        block_on(backend.enqueue(Call::new(), EnqueueRequest::new(vec![same]))).expect("it is answered");
    assert_eq!(reply.jobs, [Enqueued::Existing { id: jobs[0].id, by: ExistingBy::UniqueKey }]);
    let fetched = fetch(&backend, register(&backend), 1, 10);
    for (job, fetched) in jobs.iter().zip(fetched) {
        assert_eq!((fetched.lease.job, &*fetched.spec), (job.id, &job.spec));
    }
}

#[test]
fn words_with_nul_are_stored_with_a_sign_in_its_place() {
    let site = Site::shared();
    let backend = site.open();
    let (said, kept) = with_nul();
    let worker = WorkerId::random();
    let registration = RegisterWorker::new(worker, said.clone(), crate::fixture::LEASE);
    block_on(backend.register_worker(Call::new(), registration)).expect("it registers");
    let workers = block_on(backend.list_workers(Call::new())).expect("it is answered");
    assert_eq!(workers[0].label, kept);

    let ids = site.put(&backend, 3);
    let mut jobs = fetch(&backend, worker, 1, 3);
    let mut record = RecordRequest::new(jobs[1].lease.clone());
    let line = LogLine { text: said.clone(), ..LogLine::new(SystemClock.now(), "") };
    record.log = vec![line];
    record.checkpoint = Some(said.clone().into_bytes().into());
    block_on(backend.record(Call::new(), record)).expect("it is recorded");
    let checkpoint = block_on(backend.checkpoint(Call::new(), ids[1])).expect("it is answered");
    assert_eq!(checkpoint.as_deref(), Some(said.as_bytes()));

    // Its constructor would escape them.
    let mut failed = RunError::new("");
    (failed.message, failed.backtrace) = (said.clone(), Some(said.clone()));
    let ends = [Decision::Complete, Decision::Discard, Decision::Cancel];
    let endings = [Ending::Completed, Ending::Discarded, Ending::Cancelled];
    let items = jobs.drain(..).zip(ends.into_iter().zip(endings)).map(|(job, (decision, ending))| {
        let mut item = FinishItem::new(job.lease, decision, ending);
        item.reason = Some(said.clone());
        item.error = (decision != Decision::Complete).then(|| failed.clone());
        item.output =
            (decision == Decision::Complete).then(|| Output::from_stored(said.clone().into_bytes()));
        item
    });
    let request = FinishRequest::new(items.collect());
    block_on(backend.finish(Call::new(), request)).expect("they end");
    for (id, has_error) in ids.iter().zip([false, true, true]) {
        let run = block_on(backend.list_runs(Call::new(), *id, 1)).expect("it is answered").remove(0);
        assert_eq!(run.reason.as_deref(), Some(&*kept));
        assert_eq!(run.error.is_some(), has_error);
        if let Some(error) = run.error {
            assert_eq!((error.message, error.backtrace), (kept.clone(), Some(kept.clone())));
        }
        let lines: Vec<String> = run.log.into_iter().map(|line| line.text).collect();
        assert_eq!(lines, if *id == ids[1] { vec![kept.clone()] } else { Vec::new() });
    }
    let found = block_on(backend.get(Call::new(), ids)).expect("it is answered");
    let output = found[0].as_ref().and_then(|job| job.output.clone()).expect("it has an output");
    assert_eq!(output.as_bytes(), said.as_bytes());
}

#[test]
fn words_of_operators_with_nul_are_stored_with_a_sign_in_its_place() {
    let site = Site::shared();
    let backend = site.open();
    let (said, kept) = with_nul();
    let ids = site.put(&backend, 1);
    let by = || VerbRequest::ids(ids.clone()).by(said.clone());
    block_on(backend.cancel(Call::new(), by())).expect("it is answered");
    block_on(backend.retry(Call::new(), by())).expect("it is answered");
    for event in block_on(backend.list_events(Call::new(), ids[0])).expect("it is answered") {
        assert_eq!(event.actor.as_deref(), Some(&*kept), "{event:?}");
    }
    let mut pause = PauseRequest::new(name("line"));
    pause.reason = Some(said.clone());
    pause.actor = Some(said.clone());
    block_on(backend.pause(Call::new(), pause)).expect("it is paused");
    let queue = block_on(backend.list_queues(Call::new())).expect("it is answered").remove(0);
    assert_eq!((queue.pause_reason.as_deref(), queue.paused_by.as_deref()), (Some(&*kept), Some(&*kept)));
}
