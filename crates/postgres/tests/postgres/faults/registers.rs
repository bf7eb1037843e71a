//! Registers beside other transactions, under a dying connection, and beside a caller's open transaction.

use std::thread;
use std::time::{Duration, Instant};

use gristmill_core::{
    Backend, BackendErrorKind, Call, Certainty, Change, Committed, Enqueued, Expect, JobFilter, JobId,
    NewJob, Register, RegisterQuery, RegisterSelect, Stamp, Timestamp, UniqueKey,
};
use gristmill_postgres::Postgres;
use gristmill_testkit::block_on;
use gristmill_testserver::{FaultProxy, Postgres as Server};

use super::site::{Raw, Site, refused};
use crate::fixture::{assert_no_deadlocks, count, name};

const SPACE: &str = "x.test";
/// The stamp of the other writer, in SQL.
const OTHER: u64 = 77;
const LOCK: &str = "SELECT FROM {schema}.registers WHERE space = 'x.test' AND key = 'key' FOR NO KEY UPDATE";
const UPDATE: &str = "UPDATE {schema}.registers SET stamp = 77 WHERE space = 'x.test' AND key = 'key'";
const INSERT: &str =
    "INSERT INTO {schema}.registers (space, key, stamp, value) VALUES ('x.test', 'key', 77, '{\"v\":1}')";
const DELETE: &str = "DELETE FROM {schema}.registers WHERE space = 'x.test' AND key = 'key'";

fn value() -> Register {
    Register::new(r#"{"v":1}"#)
}

fn change(key: &str, expect: Expect) -> Change {
    Change::new(name(SPACE), key.to_owned(), expect, value())
}

fn keyed(site: &Site, key: &str) -> NewJob {
    let mut job = site.job();
    job.spec.unique_key = Some(UniqueKey::new(key).expect("it is a key"));
    job
}

fn commit(backend: &Postgres, changes: Vec<Change>) -> Vec<Committed> {
    block_on(backend.commit(Call::new(), changes)).expect("a commit is answered")
}

fn commit_one(backend: &Postgres, change: Change) -> Committed {
    commit(backend, vec![change]).remove(0)
}

fn created(jobs: usize) -> Committed {
    Committed::Done(vec![Some(Enqueued::Created); jobs])
}

/// A register without jobs; its stamp.
fn make(backend: &Postgres, key: &str) -> Stamp {
    let change = change(key, Expect::Absent);
    let stamp = change.put.stamp;
    assert_eq!(commit_one(backend, change), created(0));
    stamp
}

/// The stamps that stand for these keys.
fn standing(backend: &Postgres, keys: &[&str]) -> Vec<Option<Stamp>> {
    let select = RegisterSelect::Keys(keys.iter().map(|key| key.to_string().into()).collect());
    let query = RegisterQuery::new(name(SPACE), select);
    let page = block_on(backend.list_registers(Call::new(), query)).expect("it is listed");
    let of = |key: &str| page.items.iter().find(|(found, _)| **found == *key.as_bytes());
    keys.iter().map(|key| of(key).map(|(_, register)| register.stamp)).collect()
}

/// Keeps a job's id in an open transaction, so that a commit which stores that job waits.
fn hold_up(raw: &Raw, job: JobId) {
    raw.run(&format!(
        "BEGIN; INSERT INTO {{schema}}.jobs (id, created_at, queue, max_attempts, priority, kind, args)
            VALUES ('{job}', 0, 0, 1, 0, '', '')"
    ));
}

/// What another writer, in SQL, does before the commit comes, and what it does while that one waits.
type Writer = (&'static [&'static str], &'static [&'static str]);

/// RR2.
#[test]
fn a_commit_that_waits_for_another_writer_decides_on_what_that_one_left() {
    let site = Site::at(&Server::shared().fresh_database());
    let (backend, watcher) = (site.open_patient(), site.raw());
    // What stands, the other writer, and the stamp that is left where that one commits.
    let other = Stamp::from_stored(OTHER);
    let cases: [(bool, Writer, Option<Stamp>); 6] = [
        (true, (&[LOCK], &[UPDATE]), other),
        (true, (&[LOCK, UPDATE], &[]), other),
        (true, (&[UPDATE], &[LOCK]), other),
        (true, (&[DELETE], &[]), None),
        (true, (&[DELETE, INSERT], &[]), other),
        (false, (&[INSERT], &[UPDATE]), other),
    ];
    let mut jobs = 0;
    for (stands, (before, meanwhile), left) in cases {
        for end in ["COMMIT", "ROLLBACK"] {
            let read = stands.then(|| make(&backend, "key"));
            let raw = site.raw();
            raw.run("BEGIN");
            for sql in before {
                raw.run(sql);
            }
            let expect = read.map_or(Expect::Absent, Expect::Stamp);
            let ours = change("key", expect).with_jobs(site.jobs(2));
            let stamp = ours.put.stamp;

            let answer = thread::scope(|scope| {
                let ours = scope.spawn(|| commit_one(&backend, ours));
                watcher.wait_for_waiters(1);
                for sql in meanwhile {
                    raw.run(sql);
                }
                raw.run(end);
                ours.join().expect("it ends")
            });

            let what = format!("{before:?}, {meanwhile:?}, {end}: {answer:?}");
            if end == "COMMIT" {
                let Committed::Stale(found) = answer else { panic!("{what}") };
                assert_eq!(found.map(|found| found.stamp), left, "{what}");
                assert_eq!(standing(&backend, &["key"]), [left], "{what}");
            } else {
                assert_eq!(answer, created(2), "{what}");
                assert_eq!(standing(&backend, &["key"]), [Some(stamp)], "{what}");
                jobs += 2;
            }
            assert_eq!(count(&backend, JobFilter::new()), jobs, "{what}");
            raw.run(DELETE);
        }
    }
    drop((backend, watcher));
    assert_no_deadlocks(&site.url);
}

/// RR1, RR2.
#[test]
fn a_commit_that_came_first_is_written_and_the_one_behind_it_is_stale() {
    let site = Site::shared();
    let ([one, other], raw, watcher) = ([(); 2].map(|()| site.open_patient()), site.raw(), site.raw());
    site.put(&one, 1);
    for (round, stands) in [true, false].into_iter().enumerate() {
        let key = format!("key {stands}");
        let read = stands.then(|| make(&one, &key));
        let changes = [(); 2]
            .map(|()| change(&key, read.map_or(Expect::Absent, Expect::Stamp)).with_jobs(site.jobs(1)));
        let [first, second] = changes;
        hold_up(&raw, first.effects.jobs[0].id);

        let answers = thread::scope(|scope| {
            let begun = scope.spawn(|| commit_one(&one, first.clone()));
            watcher.wait_for_waiters(1);
            let behind = scope.spawn(|| commit_one(&other, second));
            watcher.wait_for_waiters(2);
            raw.run("ROLLBACK");
            [begun, behind].map(|commit| commit.join().expect("it ends"))
        });

        assert_eq!(answers, [created(1), Committed::Stale(Some(first.put))]);
        assert_eq!(count(&one, JobFilter::new()), 2 + round as u64);
    }
}

/// RR5.
#[test]
fn a_prune_beside_a_commit_that_extends_a_register_leaves_it_in_either_order() {
    let site = Site::shared();
    let (backend, other, raw, watcher) = (site.open_patient(), site.open(), site.raw(), site.raw());
    site.put(&backend, 1);
    let past = Timestamp::from_millis(1_000);
    let forgotten = |key: &str| {
        let mut change = change(key, Expect::Absent);
        change.put = change.put.forget_at(past);
        assert_eq!(commit_one(&backend, change), created(0));
    };
    let prune = || block_on(other.prune(Call::new(), 100)).expect("it prunes");

    // The commit has the lock and waits to store its job; the prune passes by.
    forgotten("first");
    let extends = change("first", Expect::Absent).with_jobs(site.jobs(1));
    let stamp = extends.put.stamp;
    hold_up(&raw, extends.effects.jobs[0].id);
    thread::scope(|scope| {
        let extending = scope.spawn(|| commit_one(&backend, extends));
        watcher.wait_for_waiters(1);
        prune();
        raw.run("ROLLBACK");
        assert_eq!(extending.join().expect("it ends"), created(1));
    });
    prune();
    assert_eq!(standing(&backend, &["first"]), [Some(stamp)]);

    // The prune has deleted it and not committed; the commit waits.
    let statement = include_str!("../../../sql/prune_registers.sql").replace("gristmill.", "{schema}.");
    let statement = statement.replace("$1", &past.as_millis().to_string()).replace("$2", "100");
    for end in ["COMMIT", "ROLLBACK"] {
        forgotten("second");
        raw.run("BEGIN");
        assert_eq!(raw.value(&statement), "1");
        let extends = change("second", Expect::Absent);
        let (stamp, again) = (extends.put.stamp, extends.clone());
        thread::scope(|scope| {
            let extending = scope.spawn(|| commit_one(&backend, extends));
            watcher.wait_for_waiters(1);
            raw.run(end);
            assert_eq!(extending.join().expect("it ends"), created(0));
        });
        prune();
        assert_eq!(standing(&backend, &["second"]), [Some(stamp)]);
        assert_eq!(commit_one(&backend, again), Committed::Again);
        raw.run("DELETE FROM {schema}.registers WHERE key = 'second'");
    }
}

/// RR7.
#[test]
fn a_commit_whose_connection_dies_at_any_statement_is_whole_or_absent() {
    const JOBS: usize = 500;
    let site = Site::shared();
    let proxy = FaultProxy::start(Server::shared().address());
    let (backend, other) = (site.open_at(&proxy.url_through(&site.url)), site.open());
    site.put(&other, 1);
    let (mut lost, mut stored, mut statement) = (0, 1, 0);
    loop {
        let [absent, stood, unique] = ["absent", "stood", "unique"].map(|what| format!("{what} {statement}"));
        let read = make(&other, &stood);
        let changes = vec![
            change(&absent, Expect::Absent).with_jobs(site.jobs(JOBS)),
            change(&stood, Expect::Stamp(read)).with_jobs(site.jobs(JOBS - 1)),
            change(&unique, Expect::Absent).with_jobs(vec![keyed(&site, &unique)]),
        ];
        let (seen, place) = (std::sync::atomic::AtomicUsize::new(0), statement);
        proxy.lose_next_reply_to(move |_| seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == place);
        let answer = block_on(backend.commit(Call::new(), changes.clone()));
        proxy.pass();

        let stands = standing(&other, &[&absent, &stood, &unique]);
        for (change, stands) in changes.iter().zip(stands) {
            let ids = change.effects.jobs.iter().map(|job| job.id).collect();
            let found = block_on(other.get(Call::new(), ids)).expect("it looks");
            let found = found.iter().filter(|job| job.is_some()).count();
            let is_written = stands == Some(change.put.stamp);
            let whole = if is_written { change.effects.jobs.len() } else { 0 };
            assert_eq!(found, whole, "after request {statement}: {answer:?}");
            assert!(is_written || answer.is_err(), "{answer:?}");
        }
        for answer in commit(&other, changes) {
            assert!(matches!(answer, Committed::Done(_) | Committed::Again), "{answer:?}");
        }
        stored += 2 * JOBS as u64;
        assert_eq!(count(&other, JobFilter::new()), stored, "each job is stored once");
        match answer {
            Ok(_) => break,
            Err(error) => assert_eq!(error.kind(), BackendErrorKind::Unavailable, "{error:?}"),
        }
        lost += 1;
        statement += 1;
    }
    assert!(lost >= 10, "{lost} statements were cut off");
}

/// A part of the call was stored, so the error says that it may be.
#[test]
fn a_commit_that_fails_after_a_part_was_stored_says_so() {
    let site = Site::shared();
    let (backend, raw) = (site.open(), site.raw());
    site.put(&backend, 1);
    raw.run("ALTER TABLE {schema}.uniques RENAME TO uniques_away");
    let plain = change("plain", Expect::Absent).with_jobs(site.jobs(1));
    let with_key = change("keyed", Expect::Absent).with_jobs(vec![keyed(&site, "k")]);

    let alone = refused(backend.commit(Call::new(), vec![with_key.clone()]), BackendErrorKind::SchemaOld);
    let both = refused(
        backend.commit(Call::new(), vec![with_key.clone(), plain.clone()]),
        BackendErrorKind::SchemaOld,
    );

    assert_ne!(alone.certainty(), Certainty::MaybeStored);
    assert_eq!(both.certainty(), Certainty::MaybeStored);
    raw.run("ALTER TABLE {schema}.uniques_away RENAME TO uniques");
    assert_eq!(commit(&backend, vec![with_key, plain]), [created(1), Committed::Again]);
    assert_eq!(count(&backend, JobFilter::new()), 3);
}

/// RR9.
#[test]
fn commits_of_the_same_registers_in_opposite_order_never_deadlock_beside_others_that_come_and_go() {
    const KEYS: usize = 100;
    const ROUNDS: usize = 15;
    let site = Site::at(&Server::shared().fresh_database());
    let handles = [(); 3].map(|()| site.open_patient());
    site.put(&handles[0], 1);
    let keys: Vec<String> = (0..KEYS).map(|key| format!("key {key}")).collect();
    let names: Vec<&str> = keys.iter().map(String::as_str).collect();
    let changes = |backend: &Postgres, chosen: &[&str]| -> Vec<Change> {
        let read = standing(backend, chosen).into_iter();
        let expects = read.map(|read| read.map_or(Expect::Absent, Expect::Stamp));
        chosen.iter().zip(expects).map(|(key, expect)| change(key, expect)).collect()
    };
    let decide = |backend: &Postgres, changes: Vec<Change>| -> Vec<Stamp> {
        let stamps: Vec<Stamp> = changes.iter().map(|change| change.put.stamp).collect();
        let answers = commit(backend, changes);
        let is_decided = |answer: &Committed| matches!(answer, Committed::Done(_) | Committed::Stale(_));
        assert!(answers.iter().all(is_decided), "{answers:?}");
        let written = stamps.into_iter().zip(answers);
        written.filter(|(_, answer)| matches!(answer, Committed::Done(_))).map(|(stamp, _)| stamp).collect()
    };

    let written: Vec<Stamp> = thread::scope(|scope| {
        let (changes, decide, names, handles, site) = (&changes, &decide, &names, &handles, &site);
        let write = |place: usize| {
            move || {
                let mut chosen = names.clone();
                if place == 1 {
                    chosen.reverse();
                }
                let mut written = Vec::new();
                for _ in 0..ROUNDS {
                    let mut changes = changes(&handles[place], &chosen);
                    for change in &mut changes {
                        change.effects.jobs = site.jobs(1);
                    }
                    written.extend(decide(&handles[place], changes));
                }
                written
            }
        };
        let writers = [scope.spawn(write(0)), scope.spawn(write(1))];
        let backend = &handles[2];
        let mut written = Vec::new();
        while writers.iter().any(|writer| !writer.is_finished()) {
            // Every third is deleted and pruned, and made again by whom it may be.
            let some: Vec<&str> = names.iter().copied().step_by(3).rev().collect();
            let mut deletions = changes(backend, &some);
            for change in &mut deletions {
                change.put.forget_at = Some(Timestamp::from_millis(1_000));
            }
            written.extend(decide(backend, deletions));
            block_on(backend.prune(Call::new(), 1_000)).expect("it prunes");
        }
        written.extend(writers.into_iter().flat_map(|writer| writer.join().expect("it ends")));
        written
    });

    for stamp in standing(&handles[0], &names).into_iter().flatten() {
        assert!(written.contains(&stamp), "{stamp} stands and was not answered as written");
    }
    drop(handles);
    assert_no_deadlocks(&site.url);
}

/// RR12.
#[test]
fn a_unique_key_in_a_callers_transaction_makes_its_change_busy_and_no_other_one() {
    let site = Site::shared();
    let (backend, other, raw) = (site.open(), site.open(), site.raw());
    site.put(&backend, 1);
    raw.run(
        "BEGIN; INSERT INTO {schema}.uniques (queue, key, id)
            SELECT queue, 'held', gen_random_uuid() FROM {schema}.queues WHERE name = 'line'",
    );
    let mut changes: Vec<Change> = (0..100)
        .map(|number| change(&format!("key {number}"), Expect::Absent).with_jobs(site.jobs(1)))
        .collect();
    changes[40].effects.jobs = vec![site.job(), keyed(&site, "held")];
    changes[41].effects.jobs = vec![keyed(&site, "free")];

    let begun = Instant::now();
    let answers = thread::scope(|scope| {
        let committing = scope.spawn(|| commit(&backend, changes.clone()));
        let meanwhile = Instant::now();
        assert_eq!(commit_one(&other, change("another", Expect::Absent)), created(0));
        site.put(&other, 1);
        assert!(meanwhile.elapsed() < Duration::from_secs(2), "others took {:?}", meanwhile.elapsed());
        committing.join().expect("it ends")
    });
    let took = begun.elapsed();

    assert!((Duration::from_millis(150)..Duration::from_secs(3)).contains(&took), "it took {took:?}");
    for (place, answer) in answers.iter().enumerate() {
        let expected = if place == 40 { Committed::Busy } else { created(1) };
        assert_eq!(*answer, expected, "change {place}");
    }
    let stand = standing(&other, &["key 40", "key 41"]);
    assert_eq!((stand[0].is_some(), stand[1].is_some()), (false, true));
    assert_eq!(count(&other, JobFilter::new()), 101, "nothing of the busy one is stored");
    let kept = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' AND query LIKE '%{}%'
            AND query NOT LIKE '%''held''%'",
        site.schema
    );
    assert_eq!(site.raw().value(&kept), "0", "no transaction of ours is kept open");
    raw.run("ROLLBACK");
    assert_eq!(commit_one(&backend, changes.swap_remove(40)), created(2));
}

/// RR12: the network of a process dies between two statements of its commit.
#[test]
fn a_process_that_stops_in_the_middle_of_a_commit_keeps_its_registers_for_two_seconds() {
    let site = Site::shared();
    let proxy = FaultProxy::start(Server::shared().address());
    let url = format!("{}?options=-c%20lock_timeout%3D30s", proxy.url_through(&site.url));
    let (backend, other, raw, watcher) = (site.open_at(&url), site.open(), site.raw(), site.raw());
    site.put(&other, 1);
    let read = make(&other, "key");
    let stopped = change("key", Expect::Stamp(read)).with_jobs(site.jobs(1));
    hold_up(&raw, stopped.effects.jobs[0].id);
    let call = Call::new().within(Duration::from_secs(3));
    thread::scope(|scope| {
        let committing =
            scope.spawn(|| refused(backend.commit(call, vec![stopped]), BackendErrorKind::TimedOut));
        watcher.wait_for_waiters(1);
        proxy.blackhole();
        raw.run("ROLLBACK");
        let begun = Instant::now();
        assert_eq!(commit_one(&other, change("key", Expect::Stamp(read))), created(0));
        assert!(begun.elapsed() < Duration::from_secs(8), "it took {:?}", begun.elapsed());
        assert_eq!(committing.join().expect("it ends").certainty(), Certainty::MaybeStored);
    });
    assert_eq!(count(&other, JobFilter::new()), 1, "nothing of the other commit was stored");
}
