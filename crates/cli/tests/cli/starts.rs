//! Programs that cannot be started: not the fault of their jobs.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::program::{Home, Ran, wait_until};

fn times(text: &str, what: &str) -> usize {
    text.matches(what).count()
}

const CANNOT: &str = "a program cannot be started";
const AGAIN: &str = "a program can be started again";

#[test]
fn a_worker_that_runs_out_of_files_spends_no_attempt() {
    let home = Home::new();
    let lines = "{\"kind\":\"k\",\"max_attempts\":1}\n".repeat(20);
    home.run_with(&["enqueue", "--file", "-"], lines.as_bytes());
    let work = home.command(&["work", "--exec", "k=sleep 0.3", "--queue", "default=50", "--drain"]);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 40; exec \"$@\"", "sh"]).arg(work.get_program()).args(work.get_args());
    let ran = Ran::from(command.current_dir(home.path("")).output().expect("it runs"));
    assert_eq!((ran.code, home.count("completed")), (0, 20), "{}", ran.stderr);
    assert_eq!((times(&ran.stderr, CANNOT), times(&ran.stderr, AGAIN)), (1, 1), "{}", ran.stderr);
}

#[test]
fn a_program_that_goes_and_comes_back_costs_no_attempt() {
    let home = Home::new();
    let program = |text: &str| {
        let path = home.write("program.tmp", text);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).expect("ours");
        std::fs::rename(&path, home.path("program")).expect("ours");
    };
    program("#!/bin/sh\n");
    let log = std::fs::File::create(home.path("log")).expect("a file");
    let mut command = home.command(&["work", "--exec", "k=./program"]);
    let mut worker = command.stderr(log).stdout(Stdio::null()).spawn().expect("a worker");
    let log = || std::fs::read_to_string(home.path("log")).expect("the worker's log");
    wait_until(|| log().contains("working on"));

    std::fs::remove_file(home.path("program")).expect("ours");
    let missing = home.enqueue(&["k", "--max-attempts", "1"]);
    wait_until(|| home.job(&missing)["state"] == "scheduled");
    program("#!/no/such/interpreter\n");
    let broken = home.enqueue(&["k", "--max-attempts", "1"]);
    wait_until(|| home.job(&broken)["state"] == "scheduled");
    program("not a program at all, nor a script");
    let text = home.enqueue(&["k", "--max-attempts", "1"]);
    wait_until(|| home.job(&text)["state"] == "scheduled");
    program("#!/usr/bin/env no-such-interpreter\n");
    let by_env = home.enqueue(&["k", "--max-attempts", "1"]);
    wait_until(|| home.job(&by_env)["state"] == "scheduled");
    for id in [&missing, &broken, &text, &by_env] {
        let job = home.job(id);
        assert_eq!(job["attempt"], 0, "{job}");
    }

    program("#!/bin/sh\n");
    for id in [&missing, &broken, &text, &by_env] {
        wait_until(|| home.job(id)["state"] == "completed");
    }
    let log = log();
    assert!((1..=2).contains(&times(&log, AGAIN)), "{log}");
    assert_eq!(times(&log, "exit code 127: "), 1, "{log}");
    assert!(times(&log, CANNOT) <= 4 && log.contains("No such file or directory"), "{log}");
    worker.kill().and_then(|()| worker.wait()).expect("it is ours");
}

#[test]
fn a_script_without_its_interpreter_is_reported_at_start() {
    let home = Home::new();
    let script = home.write("broken.sh", "#!/no/such/interpreter -x\n");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).expect("ours");
    let ran = home.run(&["work", "--exec", "k=./broken.sh", "--drain"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("`./broken.sh` is a script for `/no/such/interpreter`"), "{}", ran.stderr);
}

#[test]
fn a_variable_that_no_system_takes_is_left_out() {
    let home = Home::new();
    let traces = [format!("\"{}\"", "x".repeat(60_000)), "\"a\\u0000b\"".to_owned()];
    let lines = traces.map(|trace| format!("{{\"kind\":\"k\",\"metadata\":{{\"traceparent\":{trace}}}}}\n"));
    let ids = home.run_with(&["enqueue", "--file", "-"], lines.concat().as_bytes()).stdout;
    home.ok(&["work", "--exec", "k=sh -c 'echo \\\"$GRISTMILL_TRACEPARENT\\\"'", "--drain"]);
    for id in ids.lines() {
        let job = home.job(id);
        assert_eq!((&job["state"], &job["output"]), (&json!("completed"), &json!("")), "{id}");
    }
}

#[test]
fn a_program_gets_the_environment_but_for_what_is_kept_from_it() {
    let home = Home::new();
    let id = home.enqueue(&["k"]);
    let script = "k=sh -c 'echo \\\"$GRISTMILL_LOG,$MINE,$YOURS\\\"'";
    let mut command = home.command(&["work", "--exec", script, "--drain", "--without-env", "YOURS"]);
    command.envs([("GRISTMILL_LOG", "error"), ("MINE", "1"), ("YOURS", "2")]);
    assert!(command.status().expect("it runs").success());
    assert_eq!(home.job(&id)["output"], "error,1,");
}
