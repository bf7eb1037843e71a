//! Programs and disks that behave as badly as they can: each ends in a defined way, and no job is lost.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use gristmill_core::{
    Args, Backend, BackendErrorKind, Call, Clock as _, Ending, EnqueueRequest, IdSource, JobOptions,
    JobState, SystemClock,
};
use gristmill_sqlite::Sqlite;
use gristmill_system_tests::{Product, Store, audit, wait_until};
use gristmill_testkit::block_on;

/// Starts a child, says who both are, hangs.
const HANGS: &str = "#!/bin/sh\nsleep 600 &\necho $$ $! > pids.tmp\nmv pids.tmp pids\nwait\n";
/// The same, and deaf.
const DEAF: &str =
    "#!/bin/sh\ntrap '' TERM\nsleep 600 &\necho $$ $! > pids.tmp\nmv pids.tmp pids\nwait\nsleep 600\n";

/// Whether a process runs. A zombie, which its parent has not reaped yet, does not.
fn runs(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    !status.is_empty() && !status.contains("State:\tZ")
}

/// The processes of a program that has started.
fn started(product: &Product) -> Vec<String> {
    let file = product.folder().join("pids");
    wait_until("the program to start", || file.exists());
    let pids = fs::read_to_string(file).expect("the program wrote it");
    pids.split_whitespace().map(str::to_owned).collect()
}

fn write_program(product: &Product, program: &str) {
    fs::write(product.folder().join("program.sh"), program).expect("the program is written");
}

/// How the only job ended: its state, and that of its last run.
fn only_job(product: &Product) -> (JobState, Option<Ending>) {
    let account = audit(product.store());
    let (job, runs) = account.jobs.values().next().expect("the job is there");
    (job.state, runs.last().map(|run| run.ending))
}

#[test]
fn a_program_that_hangs_ends_at_its_timeout_with_all_it_started() {
    for program in [HANGS, DEAF] {
        let product = Product::new();
        write_program(&product, program);
        product.run_with(["enqueue", "k", "{}", "--timeout", "1s", "--max-attempts", "1"], b"");

        let mut worker = product.worker(["--exec", "k=sh program.sh", "--drain", "--grace", "1s"]);
        let pids = started(&product);
        assert!(worker.wait().success(), "{}", product.workers_log());

        assert_eq!(only_job(&product), (JobState::Discarded, Some(Ending::Timeout)));
        wait_until("the whole group to end", || !pids.iter().any(|pid| runs(pid)));
    }
}

#[test]
fn a_program_that_ignores_sigterm_is_killed_after_the_grace() {
    const GRACE: Duration = Duration::from_secs(2);
    let product = Product::new();
    write_program(&product, DEAF);
    let config = "[work]\ngrace = \"2s\"\n[work.handlers.k]\nexec = \"sh program.sh\"\ntimeout = \"500ms\"\n";
    fs::write(product.folder().join("gristmill.toml"), config).expect("the file is written");
    product.run_with(["enqueue", "k", "{}", "--max-attempts", "1"], b"");

    let mut worker = product.worker(["--drain"]);
    let pids = started(&product);
    let since = Instant::now();
    wait_until("the program to be killed", || !runs(&pids[0]));
    let took = since.elapsed();
    assert!(worker.wait().success(), "{}", product.workers_log());

    assert!(took >= GRACE, "it had only {took:?} to end by itself");
    assert_eq!(only_job(&product), (JobState::Discarded, Some(Ending::Timeout)));
    wait_until("the whole group to end", || !pids.iter().any(|pid| runs(pid)));
}

#[test]
fn a_gigabyte_of_output_does_not_grow_the_worker() {
    const MOST_KIB: u64 = 100 * 1024;
    let product = Product::new();
    write_program(
        &product,
        "#!/bin/sh\nhead -c 1000000000 /dev/zero\necho\necho '{\"done\":true}'\necho > pids\nsleep 600\n",
    );
    let ids = product.run_with(["enqueue", "k"], b"").stdout;
    let worker = product.command(["work", "--exec", "k=sh program.sh", "--grace", "1s"]);
    let mut worker = Reaped(quiet(worker).spawn().expect("a worker starts"));
    started(&product);

    let status = fs::read_to_string(format!("/proc/{}/status", worker.0.id())).expect("the worker runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak is told");
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    eprintln!("hostile test: 1 GB of output, the worker took {peak} KiB at most");
    assert!(peak < MOST_KIB, "the worker grew to {peak} KiB");

    let id = String::from_utf8(ids).expect("an id");
    product.run_with(["jobs", "cancel", id.trim()], b"");
    wait_until("the job to be cancelled", || product.count("cancelled") == 1);
    assert!(worker.0.try_wait().expect("it is ours").is_none(), "the worker still works");
}

/// Killed when dropped.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn quiet(mut command: Command) -> Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// A file system of its own and of a few megabytes, which root may mount.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(product: &Product) -> Option<Self> {
        let disk = Self(product.folder().join("disk"));
        fs::create_dir(&disk.0).expect("made");
        disk.ask("size=3m").then_some(disk)
    }

    fn grow(&self) {
        assert!(self.ask("remount,size=64m"), "the disk cannot be made larger");
    }

    fn ask(&self, options: &str) -> bool {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "gristmill-test"]).arg(&self.0);
        quiet(mount).status().is_ok_and(|status| status.success())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let mut umount = Command::new("umount");
        umount.arg(&self.0);
        let _ = quiet(umount).status();
    }
}

/// Calls the program on the store of the small disk.
fn call(product: &Product, database: &Path, words: &[&str]) -> Output {
    let mut command = product.command(words);
    command.env("GRISTMILL_DB", format!("sqlite:{}?busy_timeout=1s", database.display()));
    command.output().expect("the program runs")
}

#[test]
fn a_full_disk_is_told_and_nothing_is_lost_when_there_is_room_again() {
    let product = Product::new();
    let Some(disk) = SmallDisk::mount(&product) else {
        eprintln!("hostile test: no small disk can be mounted by this user; a bounded file stands for it");
        return a_bounded_file_is_full_and_keeps_what_it_has(&product);
    };
    let database = disk.0.join("jobs.db");
    let mut lines = String::new();
    for number in 0..100 {
        writeln!(lines, r#"{{"kind":"k","args":{{"number":{number},"text":"{}"}}}}"#, "x".repeat(4_000))
            .expect("a string grows");
    }
    fs::write(product.folder().join("lines.ndjson"), lines).expect("the lines are written");

    let mut stored = 0;
    let refused = loop {
        let ran = call(&product, &database, &["enqueue", "--file", "lines.ndjson"]);
        stored += ran.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
        if !ran.status.success() {
            break ran;
        }
    };
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("error: the disk is full") && said.contains("; free some space"), "{said}");
    assert!(stored > 0, "the disk was never not full");

    // What is left of the disk may hold the end of a job or two, but not of all.
    let mut worker = product.command(["work", "--exec", "k=true", "--drain", "--lease", "5s"]);
    worker.env("GRISTMILL_DB", format!("sqlite:{}?busy_timeout=1s", database.display()));
    let log = fs::File::create(product.folder().join("full.log")).expect("a log");
    let mut worker = quiet(worker);
    let mut worker = Reaped(worker.stderr(log).spawn().expect("a worker starts"));
    let said = || fs::read_to_string(product.folder().join("full.log")).expect("the worker's log");
    wait_until("the worker to tell that the disk is full", || said().contains("the disk is full"));
    assert!(worker.0.try_wait().expect("it is ours").is_none(), "a full disk does not end it: {}", said());

    disk.grow();
    assert!(worker.0.wait().expect("it ends").success(), "{}", said());
    let account = audit(&Store::File(database));
    assert_eq!(account.jobs.len(), stored, "what was answered is there, and nothing else");
    assert_eq!(account.ended(JobState::Completed).count(), stored);
}

/// The same rule where no disk can be mounted: the file itself is bounded.
fn a_bounded_file_is_full_and_keeps_what_it_has(product: &Product) {
    let database = product.folder().join("bounded.db");
    let ids = IdSource::new();
    let enqueue = |store: &Sqlite| {
        let args = Args::from_json(format!("\"{}\"", "x".repeat(4_000))).expect("it is JSON");
        let id = ids.next(SystemClock.now());
        let job = JobOptions::new().prepare(id, "k", args).expect("it is valid");
        block_on(store.enqueue(Call::new(), EnqueueRequest::new(vec![job])))
    };
    let small = Sqlite::builder(&database).max_bytes(2 << 20).open().expect("it opens");
    let mut stored = 0;
    let error = loop {
        match enqueue(&small) {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), BackendErrorKind::Full);
    assert!(error.hint().is_some() && stored > 0, "{error}");
    drop(small);

    let roomy = Sqlite::open(&database).expect("it opens");
    enqueue(&roomy).expect("there is room again");
    drop(roomy);
    assert_eq!(audit(&Store::File(database)).jobs.len(), stored + 1, "what was answered is there");
}

#[test]
fn a_bounded_file_refuses_what_does_not_fit_and_goes_on_when_it_may_grow() {
    a_bounded_file_is_full_and_keeps_what_it_has(&Product::new());
}
