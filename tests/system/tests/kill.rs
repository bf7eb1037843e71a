//! Workers are killed at any moment, and nothing is lost.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use gristmill_core::{Ending, JobState};
use gristmill_system_tests::{Account, Product, Worker, audit, real_files, wait_until};
use gristmill_testserver::Postgres;

/// Writes down each start and each end, and fails for good where the file is not there.
const CHECKSUM: &str = r#"#!/bin/sh
read -r args
echo "start $GRISTMILL_JOB_ID $GRISTMILL_TOKEN" >> journal
path=${args#*\"path\":\"}
path=${path%%\"*}
[ -e "$path" ] || exit 65
cksum < "$path" > /dev/null || exit 1
echo "end $GRISTMILL_JOB_ID $GRISTMILL_TOKEN" >> journal
"#;

const JOBS: usize = 20_000;
const MISSING: usize = 200;
/// The server is killed when so many jobs have ended.
const SERVER_DIES_AT: [u64; 3] = [2_000, 8_000, 14_000];

/// Either run has the machine for itself.
static ALONE: Mutex<()> = Mutex::new(());

fn worker(product: &Product) -> Worker {
    let log = "warn,gristmill::worker=info";
    product.worker([
        "--exec",
        "checksum=sh checksum.sh",
        "--queue",
        "default=4",
        "--lease",
        "2s",
        "--log",
        log,
    ])
}

#[test]
fn twenty_thousand_jobs_survive_a_kill_every_second() {
    survive(&Product::new(), None);
}

#[test]
fn twenty_thousand_jobs_survive_kills_of_workers_and_of_their_server() {
    let server = Postgres::builder().durable().start();
    survive(&Product::on_server(server.url()), Some(&server));
}

/// Kills workers, and the server if there is one, until all jobs have ended; then every job must be accounted
/// for.
fn survive(product: &Product, server: Option<&Postgres>) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    std::fs::write(product.folder().join("checksum.sh"), CHECKSUM).expect("the program is written");
    let mut lines = String::new();
    let mut files = real_files(JOBS - MISSING, product.folder());
    files.extend((0..MISSING).map(|number| format!("/nowhere/{number}")));
    for path in &files {
        writeln!(lines, r#"{{"kind":"checksum","args":{{"path":"{path}"}}}}"#).expect("a string grows");
    }
    let enqueued = product.run_with(["enqueue", "--file", "-"], lines.as_bytes());
    assert_eq!(enqueued.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count(), JOBS);

    let kills = kill_one_every_second_until_all_ended(product, server);

    let account = audit(product.store());
    assert_eq!(account.jobs.len(), JOBS, "none is lost and none came from nowhere");
    assert_eq!(account.ended(JobState::Completed).count(), JOBS - MISSING);
    assert_eq!(account.ended(JobState::Discarded).count(), MISSING);
    assert!(kills.workers >= 10, "{} kills prove little", kills.workers);
    every_accepted_end_was_a_real_one(product, &account);
    let crashed: usize = account.jobs.values().map(|(_, runs)| crashes(runs)).sum();
    eprintln!(
        "kill test ({}): {JOBS} jobs, {} workers killed, server killed {} times, {crashed} runs crashed, {} stale finishes",
        product.store().name(),
        kills.workers,
        kills.server,
        account.stale_finishes
    );
    assert!(crashed > 0, "the kills hit no running job");
    assert_eq!(kills.server, if server.is_some() { SERVER_DIES_AT.len() } else { 0 });
}

fn crashes(runs: &[gristmill_core::RunRecord]) -> usize {
    runs.iter().filter(|run| run.ending == Ending::Crashed).count()
}

/// What was killed.
#[derive(Debug, Default)]
struct Kills {
    workers: usize,
    server: usize,
}

fn kill_one_every_second_until_all_ended(product: &Product, server: Option<&Postgres>) -> Kills {
    let mut workers: Vec<Worker> = (0..3).map(|_| worker(product)).collect();
    let mut kills = Kills::default();
    let mut latest = Instant::now();
    wait_until("all jobs to end", || {
        for worker in &mut workers {
            assert!(!worker.has_ended(), "a worker ended by itself:\n{}", product.workers_log());
        }
        if latest.elapsed() >= Duration::from_secs(1) {
            latest = Instant::now();
            workers.remove(0).kill();
            workers.push(worker(product));
            kills.workers += 1;
        }
        let ended = product.counts(["completed", "discarded"]).iter().sum::<u64>();
        if let Some(server) = server
            && SERVER_DIES_AT.get(kills.server).is_some_and(|at| ended >= *at)
        {
            kill_server(server, &mut workers);
            kills.server += 1;
        }
        ended == JOBS as u64
    });
    kills
}

/// The server is gone until all workers have missed it; they find it again by themselves.
fn kill_server(server: &Postgres, workers: &mut [Worker]) {
    // Without its server a worker does not start.
    say_more_than(workers, "the worker runs", &[0; 3]);
    let count = |workers: &[Worker], what: &str| -> Vec<usize> {
        workers.iter().map(|worker| worker.said(what)).collect()
    };
    let (missed, found) = (count(workers, MISSES), count(workers, FINDS));
    server.kill();
    say_more_than(workers, MISSES, &missed);
    server.start_again();
    say_more_than(workers, FINDS, &found);
}

/// What a worker says when its server is gone, and when it is there again.
const MISSES: &str = "the backend fails";
const FINDS: &str = "the backend answers again";

/// Waits until each worker has said something more often than before.
fn say_more_than(workers: &mut [Worker], what: &str, before: &[usize]) {
    wait_until(what, || {
        assert!(!workers.iter_mut().any(Worker::has_ended), "a worker ended before it said `{what}`");
        workers.iter().zip(before).all(|(worker, before)| worker.said(what) > *before)
    });
}

/// The journal is written by the programs themselves: a run that was accepted as completed must stand in it
/// to its end.
fn every_accepted_end_was_a_real_one(product: &Product, account: &Account) {
    let journal = std::fs::read_to_string(product.folder().join("journal")).expect("the programs wrote");
    let mut ends: HashMap<&str, Vec<u32>> = HashMap::new();
    for line in journal.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        if let ["end", id, token] = words[..] {
            let run = token
                .split('-')
                .next()
                .and_then(|run| run.parse().ok())
                .expect("a token begins with its run");
            ends.entry(id).or_default().push(run);
        }
    }
    for (job, _) in account.ended(JobState::Completed) {
        let runs = ends.get(job.id.to_string().as_str()).map(Vec::as_slice).unwrap_or_default();
        assert!(
            runs.contains(&job.run),
            "job {} completed run {}, but the program ended {runs:?}",
            job.id,
            job.run
        );
    }
}

/// One source design left a job for ever `claimed` when its worker died on the last attempt: reclaim asked
/// for attempts below the bound, which the claim had already reached.
fn a_job_that_kills_its_worker_is_discarded(product: &Product) {
    // A program's parent is its guard, the parent of that is the worker: the fourth field of `stat`.
    let program = "#!/bin/sh\nread -r _ _ _ worker _ < /proc/$PPID/stat\nkill -9 $worker\nsleep 5\n";
    std::fs::write(product.folder().join("murder.sh"), program).expect("the program is written");
    product.run_with(["enqueue", "murder", "{}", "--max-attempts", "2"], b"");
    let start = || product.worker(["--exec", "murder=sh murder.sh", "--lease", "2s", "--slots", "1"]);

    let mut deaths = 0;
    let mut running = start();
    wait_until("the job to end", || {
        if deaths < 2 && running.has_ended() {
            deaths += 1;
            running = start();
        }
        product.count("discarded") == 1
    });

    let account = audit(product.store());
    let (job, runs) = account.jobs.values().next().expect("the job is there");
    assert_eq!((job.state, job.attempt, crashes(runs)), (JobState::Discarded, 2, 2));
}

#[test]
fn a_job_killed_on_its_last_attempt_is_discarded() {
    a_job_that_kills_its_worker_is_discarded(&Product::new());
}

#[test]
fn a_job_killed_on_its_last_attempt_is_discarded_on_a_server() {
    let server = Postgres::shared().fresh_database();
    a_job_that_kills_its_worker_is_discarded(&Product::on_server(server));
}
