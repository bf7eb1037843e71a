//! Whatever a program has started ends with it, and with its worker.

use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::program::{Home, ends, runs, wait_until};

/// Leaves processes behind in every way there is, each with its number in `pids`: in the background, in a
/// session of its own, after a double fork, without the environment, deaf to SIGTERM, stopped, and with the
/// output kept open.
const LEAVES: &str = "\
    sleep 600 & echo $! >> pids
    setsid sh -c 'echo $$ >> pids; exec sleep 600' &
    (setsid sh -c 'echo $$ >> pids; sleep 600 & echo $! >> pids; wait' > /dev/null 2>&1 &)
    (env -i setsid sh -c 'echo $$ >> pids; trap \"\" TERM HUP INT; while :; do sleep 600; done' &)
    sh -c 'echo $$ >> pids; kill -STOP $$' &
    while test $(wc -l < pids) -lt 6; do sleep 0.01; done
    echo end >> pids\n";

/// The processes that the program has left, once it has said so.
fn left(home: &Home) -> Vec<String> {
    let text = || std::fs::read_to_string(home.path("pids")).unwrap_or_default();
    wait_until(|| text().ends_with("end\n"));
    text().lines().filter(|line| *line != "end").map(str::to_owned).collect()
}

fn worker(home: &Home, words: &[&str]) -> Child {
    let stderr = std::fs::File::create(home.path("stderr")).expect("a file");
    let mut command = home.command(&[&["work", "--exec", "k=sh job.sh"], words].concat());
    command.stderr(stderr).spawn().expect("a worker")
}

fn send(signal: &str, pid: &str) {
    let sent = Command::new("kill").args([&format!("-{signal}"), pid]).status().expect("kill runs");
    assert!(sent.success());
}

/// The children of a process.
fn children(pid: &str) -> Vec<String> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let lists = threads.flatten().map(|thread| std::fs::read_to_string(thread.path().join("children")));
    let lists: Vec<String> = lists.map(Result::unwrap_or_default).collect();
    lists.iter().flat_map(|list| list.split_whitespace()).map(str::to_owned).collect()
}

#[test]
fn what_a_program_has_started_ends_with_it() {
    let home = Home::new();
    home.write("job.sh", LEAVES);
    let id = home.enqueue(&["k"]);
    let mut worker = worker(&home, &[]);
    wait_until(|| home.job(&id)["state"] == "completed");
    let left = left(&home);
    assert_eq!(left.len(), 6);
    for pid in left {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "{pid} runs, or is a zombie");
    }
    worker.kill().and_then(|()| worker.wait()).expect("it is ours");
}

#[test]
fn a_cancel_and_a_timeout_end_what_a_program_has_started() {
    let home = Home::new();
    home.write("job.sh", format!("{LEAVES} trap '' TERM; while :; do sleep 600; done"));
    let id = home.enqueue(&["k", "--timeout", "2s", "--max-attempts", "1"]);
    let mut worker = worker(&home, &["--drain", "--grace", "200ms"]);
    let left = left(&home);
    assert!(ends(&mut worker).success());
    assert_eq!(home.job(&id)["errors"][0]["outcome"], "timeout");
    assert!(!left.iter().any(|pid| runs(pid)));
}

#[test]
fn no_program_outlives_its_worker_whatever_ends_that() {
    for signal in ["KILL", "USR1", "ABRT"] {
        let home = Home::new();
        home.write("job.sh", format!("{LEAVES} sleep 600"));
        home.enqueue(&["k"]);
        let mut worker = worker(&home, &[]);
        let left = left(&home);
        let guards = children(&worker.id().to_string());
        send(signal, &worker.id().to_string());
        assert!(!ends(&mut worker).success());
        wait_until(|| !left.iter().chain(&guards).any(|pid| runs(pid)));
    }
}

#[test]
fn a_guard_that_is_killed_fails_the_attempt_and_leaves_nothing_behind() {
    let home = Home::new();
    home.write("job.sh", format!("{LEAVES} sleep 600"));
    let id = home.enqueue(&["k", "--max-attempts", "1"]);
    let mut worker = worker(&home, &[]);
    let left = left(&home);
    for guard in children(&worker.id().to_string()) {
        send("TERM", &guard);
        send("KILL", &guard);
    }
    wait_until(|| home.job(&id)["state"] == "discarded");
    wait_until(|| !left.iter().any(|pid| runs(pid)));
    let job = home.job(&id);
    assert_eq!(job["errors"][0]["message"], "the process that guards the program was killed", "{job}");
    home.write("job.sh", "true");
    let next = home.enqueue(&["k"]);
    wait_until(|| home.job(&next)["state"] == "completed");
    worker.kill().and_then(|()| worker.wait()).expect("it is ours");
}

#[test]
fn a_hangup_stops_gently_unless_the_worker_was_started_to_ignore_it() {
    let home = Home::new();
    home.write("job.sh", format!("{LEAVES} sleep 600"));
    let id = home.enqueue(&["k"]);
    let mut worker = worker(&home, &["--grace", "100ms"]);
    let left = left(&home);
    send("HUP", &worker.id().to_string());
    assert!(ends(&mut worker).success());
    assert!(!left.iter().any(|pid| runs(pid)));
    let job = home.job(&id);
    assert_eq!((&job["state"], &job["attempt"]), (&json!("available"), &json!(0)), "{job}");

    let nohup = "trap '' HUP; exec \"$@\"";
    let work = home.command(&["work", "--exec", "k=true"]);
    let mut command = Command::new("sh");
    command.args(["-c", nohup, "sh"]).arg(work.get_program()).args(work.get_args());
    command.current_dir(home.path("")).stderr(Stdio::null());
    let mut worker = command.spawn().expect("a worker");
    wait_until(|| home.job(&id)["state"] == "completed");
    send("HUP", &worker.id().to_string());
    let next = home.enqueue(&["k"]);
    wait_until(|| home.job(&next)["state"] == "completed");
    worker.kill().and_then(|()| worker.wait()).expect("it is ours");
}

/// A shell may have started other processes before it became the worker.
#[test]
fn what_a_process_of_no_job_leaves_behind_is_left_alone() {
    let home = Home::new();
    let script = "(until test -e go; do sleep 0.01; done; sleep 600 & echo $! > other) & exec \"$@\"";
    let work = home.command(&["work", "--exec", "k=true"]);
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(work.get_program()).args(work.get_args());
    command.current_dir(home.path("")).stderr(Stdio::null());
    let mut worker = command.spawn().expect("a worker");
    let first = home.enqueue(&["k"]);
    wait_until(|| home.job(&first)["state"] == "completed");
    home.write("go", "");
    let other = || std::fs::read_to_string(home.path("other")).unwrap_or_default().trim().to_owned();
    let pid = worker.id().to_string();
    wait_until(|| children(&pid).contains(&other()) || (!other().is_empty() && !runs(&other())));
    let next = home.enqueue(&["k"]);
    wait_until(|| home.job(&next)["state"] == "completed");
    assert!(runs(&other()), "it is of no job");
    send("KILL", &other());
    worker.kill().and_then(|()| worker.wait()).expect("it is ours");
}

/// As the first process of a container a worker is the parent of every orphan there, also of those that are
/// not of a job.
#[test]
fn the_first_process_of_a_container_leaves_no_zombie() {
    let home = Home::new();
    home.write("job.sh", "sleep 600 & setsid sleep 600 & true");
    home.run_with(&["enqueue", "k", "--file", "-"], "{}\n".repeat(40).as_bytes());
    let script = "for i in 1 2 3; do (sleep 0.01 &); done; (sleep 600 & echo $! > other); \
                  exec \"$0\" work --exec 'k=sh job.sh'";
    let program = home.command(&[]).get_program().to_owned();
    let mut command = Command::new("unshare");
    command.args(["-fp", "--mount-proc", "sh", "-c", script]).arg(program);
    command.current_dir(home.path("")).stderr(Stdio::null());
    let mut unshare = command.spawn().expect("unshare is part of every Linux");
    wait_until(|| home.path("other").exists() || unshare.try_wait().is_ok_and(|ended| ended.is_some()));
    if !home.path("other").exists() {
        eprintln!("kin test: this user may not make a process namespace; the first process is not tested");
        return;
    }
    let first = children(&unshare.id().to_string()).first().cloned().expect("the worker");
    wait_until(|| home.count("completed") == 40);
    wait_until(|| {
        let children = children(&first);
        !children.iter().any(|pid| !runs(pid))
    });
    let names: Vec<String> = children(&first)
        .iter()
        .map(|pid| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default())
        .collect();
    assert_eq!(names.iter().filter(|name| name.trim() == "sleep").count(), 1, "of no job: {names:?}");
    send("KILL", &first);
    unshare.wait().expect("it ends with the worker");
}
