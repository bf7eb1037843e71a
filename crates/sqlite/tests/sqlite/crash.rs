//! Processes that die, and jobs that are in no place.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use gristmill_core::{
    Backend, Call, Change, Committed, Expect, Finished, JobFilter, JobState, Register, RegisterQuery,
    RegisterSelect,
};
use gristmill_sqlite::{Sqlite, Synchronous};
use gristmill_testkit::block_on;

use crate::fixture::{File, complete, count, enqueue, fetch, name, register};

/// Set for the child that is killed: the file it works on.
const VICTIM: &str = "GRISTMILL_TEST_VICTIM";
const ANSWERED: usize = 200;

/// The child: enqueues, fetches and finishes without end, and says which jobs are stored and which completed.
fn work_until_killed(path: &std::ffi::OsStr) -> ! {
    let file = File::new();
    let backend = Sqlite::builder(path).synchronous(Synchronous::Normal).open().expect("it opens");
    let worker = register(&backend);
    let mut out = std::io::stdout();
    for claim in 1.. {
        let jobs = file.jobs(20);
        let stored: Vec<_> = jobs.iter().map(|job| job.id).collect();
        enqueue(&backend, jobs).expect("it is stored");
        for id in stored {
            writeln!(out, "stored {id}").expect("the parent listens");
        }
        let fetched = fetch(&backend, worker, claim, 10);
        let leased: Vec<_> = fetched.iter().map(|job| job.lease.job).collect();
        complete(&backend, fetched);
        for id in leased {
            writeln!(out, "completed {id}").expect("the parent listens");
        }
        let jobs = file.jobs(5);
        let stored: Vec<_> = jobs.iter().map(|job| job.id).collect();
        let ids: Vec<String> = stored.iter().map(ToString::to_string).collect();
        let ids = serde_json::json!(ids);
        let put = Register::new(format!(r#"{{"v":1,"jobs":{ids}}}"#));
        let change = Change::new(name("x.crash"), claim.to_string(), Expect::Absent, put).with_jobs(jobs);
        let answers = block_on(backend.commit(Call::new(), vec![change])).expect("it is answered");
        assert!(matches!(answers[..], [Committed::Done(_)]), "{answers:?}");
        writeln!(out, "committed {claim}").expect("the parent listens");
        for id in stored {
            writeln!(out, "stored {id}").expect("the parent listens");
        }
    }
    unreachable!("the numbers do not end")
}

#[test]
fn a_process_killed_at_work_leaves_what_it_was_told_is_stored() {
    if let Some(path) = std::env::var_os(VICTIM) {
        work_until_killed(&path);
    }
    let file = File::new();
    drop(file.open());
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::a_process_killed_at_work_leaves_what_it_was_told_is_stored", "--nocapture"])
        .env(VICTIM, file.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut told: Vec<String> = Vec::new();
    while told.len() < ANSWERED {
        let line = lines.next().expect("the child works until it is killed").unwrap();
        told.push(line);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What it wrote before it died counts, too; its last line may be cut.
    told.extend(lines.map_while(Result::ok));
    told.pop();

    let backend = file.open();
    assert_registers_are_whole(&backend, &told);
    for line in told {
        let Some((what, id)) =
            line.split_once(' ').filter(|(what, _)| ["stored", "completed"].contains(what))
        else {
            continue;
        };
        let found = block_on(backend.get(Call::new(), vec![id.parse().unwrap()])).unwrap().remove(0);
        let state = found.unwrap_or_else(|| panic!("job {id} was stored and is gone")).state;
        assert!(what == "stored" || state == JobState::Completed, "job {id} was completed and is {state}");
    }
    let audit = block_on(backend.audit(Call::new(), None, 1_000_000)).unwrap();
    assert!(audit.repaired.is_empty(), "{audit:?}");
    assert_eq!(count(&backend, JobFilter::new()), audit.checked);
}

/// A register stands with all of its jobs, and each that was answered stands.
fn assert_registers_are_whole(backend: &Sqlite, told: &[String]) {
    let query = RegisterQuery::new(name("x.crash"), RegisterSelect::All);
    let registers = block_on(backend.list_registers(Call::new(), query)).expect("they are listed").items;
    for (key, register) in &registers {
        let value: serde_json::Value = serde_json::from_slice(&register.value).expect("it is JSON");
        let ids = value["jobs"].as_array().into_iter().flatten().filter_map(|id| id.as_str()?.parse().ok());
        let found = block_on(backend.get(Call::new(), ids.collect())).expect("it looks");
        assert!(found.len() == 5 && found.iter().all(Option::is_some), "{key:?}: {found:?}");
    }
    for key in told.iter().filter_map(|line| line.strip_prefix("committed ")) {
        assert!(registers.iter().any(|(other, _)| **other == *key.as_bytes()), "{key} was committed");
    }
}

#[test]
fn a_job_in_no_place_is_found_by_the_audit() {
    let file = File::new();
    let backend = file.open();
    enqueue(&backend, file.jobs(2)).unwrap();
    let worker = register(&backend);
    let lost = fetch(&backend, worker, 1, 1);
    file.raw().execute_batch("DELETE FROM claims").unwrap();

    let audit = block_on(backend.audit(Call::new(), None, 100)).unwrap();

    assert_eq!((audit.checked, audit.repaired), (2, vec![lost[0].lease.job]));
    assert!(matches!(complete(&backend, lost)[..], [Finished::LeaseLost { .. }]));
    assert_eq!(fetch(&backend, worker, 2, 10).len(), 2);
}

#[test]
fn a_claim_of_an_unknown_worker_is_rescued() {
    let file = File::new();
    let backend = file.open();
    enqueue(&backend, file.jobs(3)).unwrap();
    let worker = register(&backend);
    fetch(&backend, worker, 1, 2);
    file.raw().execute_batch("DELETE FROM workers").unwrap();

    let rescue = block_on(backend.rescue(Call::new(), 100)).unwrap();

    assert_eq!(rescue.jobs.len(), 2);
    assert_eq!(count(&backend, JobFilter::new().state(JobState::Available)), 3);
}

#[test]
fn every_job_survives_closing_at_full_synchronous() {
    let file = File::new();
    let open = || file.options().synchronous(Synchronous::Full).open().unwrap();
    let backend = open();
    enqueue(&backend, file.jobs(30)).unwrap();
    let worker = register(&backend);
    let leased = fetch(&backend, worker, 1, 20);
    drop(backend);

    let backend = open();

    assert_eq!(complete(&backend, leased).len(), 20);
    let of = |state| count(&backend, JobFilter::new().state(state));
    assert_eq!((of(JobState::Available), of(JobState::Completed)), (10, 20));
}
