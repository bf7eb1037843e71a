//! What jobs and workers wait for is named: by `work` at its start and while it is idle, and by `doctor`.

use std::fs::File;
use std::process::{Child, Stdio};

use super::program::{Home, wait_until};

/// A worker that runs until it is told to stop, and what it says.
struct Running<'h> {
    home: &'h Home,
    worker: Child,
}

impl<'h> Running<'h> {
    fn start(home: &'h Home, words: &[&str]) -> Self {
        let log = File::create(home.path("log")).expect("a file");
        let mut command = home.command(&[&["work"], words].concat());
        let worker = command.stderr(log).stdout(Stdio::null()).spawn().expect("a worker");
        Self { home, worker }
    }

    fn until_it_says(&self, text: &str) {
        wait_until(|| std::fs::read_to_string(self.home.path("log")).is_ok_and(|log| log.contains(text)));
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let _ = self.worker.kill().and_then(|()| self.worker.wait());
    }
}

#[test]
fn a_queue_that_no_worker_serves_is_named_by_work_and_doctor() {
    let home = Home::new();
    home.enqueue(&["email", "--queue", "mail"]);
    let worker = Running::start(&home, &["--exec", "email=true"]);
    worker.until_it_says("no worker will run 1 job in queue `mail`, which no live worker serves");
    let doctor = home.run(&["doctor"]);
    assert_eq!(doctor.code, 1);
    assert!(
        doctor.stdout.contains("TROUBLE  workers: 1 job in queue `mail`, which no live"),
        "{}",
        doctor.stdout
    );
    assert!(doctor.stdout.contains("start a worker that serves queue `mail`"), "{}", doctor.stdout);
}

#[test]
fn a_kind_that_no_worker_handles_is_named_by_work_and_doctor() {
    let home = Home::new();
    home.enqueue(&["b"]);
    let worker = Running::start(&home, &["--exec", "a=true"]);
    worker.until_it_says(
        "no worker will run 1 job of kind `b` in queue `default`, for which no live worker has",
    );
    worker.until_it_says("waiting for 1 job of kind `b` without a handler in queue `default`");
    let doctor = home.run(&["doctor"]);
    assert_eq!((doctor.code, doctor.stdout.contains("1 job of kind `b` in queue `default`")), (1, true));

    let other = Running::start(&home, &["--exec", "b=true"]);
    wait_until(|| home.count("completed") == 1);
    assert!(
        home.ok(&["doctor"]).stdout.contains("ok       workers: every job that is due has a live worker")
    );
    drop((worker, other));
}

#[test]
fn a_drain_says_that_it_waits_for_a_paused_queue() {
    let home = Home::new();
    home.enqueue(&["x"]);
    home.ok(&["queues", "pause", "default"]);
    let mut worker = Running::start(&home, &["--exec", "x=true", "--drain"]);
    worker.until_it_says("waiting for 1 job in the paused queue `default`");
    let doctor = home.run(&["doctor"]);
    assert_eq!((doctor.code, doctor.stdout.contains("1 job in the paused queue `default`")), (1, true));
    home.ok(&["queues", "resume", "default"]);
    assert!(worker.worker.wait().expect("it ends").success());
    assert_eq!(home.count("completed"), 1);
}

#[test]
fn a_drain_leaves_kinds_without_a_command_and_names_them() {
    let home = Home::new();
    home.enqueue(&["x"]);
    home.enqueue(&["y"]);
    let said = home.ok(&["work", "--exec", "x=true", "--drain"]).stderr;
    assert!(said.contains("nothing is left to run but 1 job of kind `y` without a handler"), "{said}");
    assert_eq!((home.count("completed"), home.count("scheduled")), (1, 1));
}

#[test]
fn a_worker_waits_for_its_store_unless_it_is_told_not_to() {
    let home = Home::new();
    let nowhere = "postgres://127.0.0.1:1/x";
    let refused = home.run(&["work", "--exec", "x=true", "--no-wait", "--db", nowhere]);
    assert_eq!(refused.code, 5, "{}", refused.stderr);
    let worker = Running::start(&home, &["--exec", "x=true", "--db", nowhere]);
    worker.until_it_says("waiting for the store: ");
}
