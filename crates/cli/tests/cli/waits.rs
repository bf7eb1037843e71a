//! What jobs and workers wait for is named: by `work` at its start and while it is idle, and by `doctor`.

use std::fs::File;
use std::process::{Child, Command, Stdio};

use gristmill_testserver::Postgres;

use super::program::{Home, ends, wait_until};

/// A worker that runs until it is stopped, and what it prints.
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

impl Running<'_> {
    /// Ends it gently and gives its exit code.
    fn stop(&mut self) -> Option<i32> {
        let pid = self.worker.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs").success());
        ends(&mut self.worker).code()
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
    assert!(ends(&mut worker.worker).success());
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

#[test]
fn a_worker_does_not_wait_for_what_waiting_does_not_cure() {
    let home = Home::new();
    std::fs::create_dir(home.path("folder")).expect("a folder");
    let server = Postgres::shared().fresh_database();
    let (server, _) = server.rsplit_once('/').expect("a database");
    for (url, said) in [
        ("sqlite:no/such/folder/jobs.db", "cannot be made"),
        ("sqlite:folder", "folder"),
        (&format!("{server}/no_such_database"), "the server has no such database"),
    ] {
        let ran = home.run(&["work", "--exec", "x=true", "--db", url]);
        assert_ne!(ran.code, 0, "{url}: {}", ran.stderr);
        assert!(ran.stderr.contains(said) && !ran.stderr.contains("waiting"), "{url}: {}", ran.stderr);
    }
}

#[test]
fn a_drain_that_is_stopped_does_not_succeed() {
    let home = Home::new();
    let nowhere = ["--exec", "x=true", "--drain", "--db", "postgres://127.0.0.1:1/x"];
    let mut worker = Running::start(&home, &nowhere);
    worker.until_it_says("\nhint: check that the server runs");
    assert_eq!(worker.stop(), Some(1));
    worker.until_it_says("error: stopped before the queues were empty");

    home.enqueue(&["x"]);
    home.ok(&["queues", "pause", "default"]);
    let mut worker = Running::start(&home, &["--exec", "x=true", "--drain"]);
    worker.until_it_says("in the paused queue `default`");
    assert_eq!(worker.stop(), Some(1));
    worker.until_it_says("error: stopped before the queues were empty");
}

/// A server that takes the connection and never answers.
#[test]
fn a_worker_that_connects_can_be_stopped() {
    let home = Home::new();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("postgres://{}/x", silent.local_addr().expect("its address"));
    let mut worker = Running::start(&home, &["--exec", "x=true", "--db", &url]);
    let _connection = silent.accept().expect("the worker connects");
    let began = std::time::Instant::now();
    assert_eq!(worker.stop(), Some(0));
    assert!(began.elapsed() < std::time::Duration::from_secs(3), "{:?}", began.elapsed());
}
