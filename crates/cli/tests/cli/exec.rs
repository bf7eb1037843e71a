//! Programs as handlers.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::program::{Home, ends, runs, wait_until};

fn work(home: &Home, command: &str) -> String {
    let exec = format!("k={command}");
    home.ok(&["work", "--exec", &exec, "--drain", "--grace", "1s"]).stderr
}

/// Runs one job with one attempt and gives it back.
fn job_of(args: &str, command: &str) -> Value {
    let home = Home::new();
    let id = home.enqueue(&["k", args, "--max-attempts", "1"]);
    work(&home, command);
    home.job(&id)
}

#[test]
fn exit_codes_say_what_becomes_of_the_job() {
    for (code, state, message) in [
        (0, "completed", Value::Null),
        (75, "discarded", json!("exit code 75 asks for a retry: why")),
        (65, "discarded", json!("discarded by exit code 65: why")),
        (77, "cancelled", Value::Null),
        (3, "discarded", json!("exit code 3: why")),
    ] {
        let job = job_of("{}", &format!("sh -c 'echo why >&2; exit {code}'"));
        assert_eq!(job["state"], state, "exit code {code}: {job}");
        assert_eq!(job["errors"][0]["message"], message, "exit code {code}: {job}");
    }
    let killed = job_of("{}", "sh -c 'kill -9 $$'");
    assert_eq!(killed["errors"][0]["message"], "killed by signal 9");
}

/// A program that has done something before it ends with the code of a shell that found no program.
#[test]
fn a_program_with_effects_fails_with_any_code() {
    for (script, code) in [("echo 1; exit 127", 127), ("sleep 1.1; exit 126", 126)] {
        let job = job_of("{}", &format!("sh -c '{script}'"));
        assert_eq!(job["state"], "discarded", "{job}");
        assert_eq!(job["errors"][0]["message"], format!("exit code {code}"), "{job}");
    }
}

#[test]
fn a_retry_is_another_attempt_and_a_snooze_is_none() {
    let home = Home::new();
    let id = home.enqueue(&["k"]);
    work(&home, "sh -c 'test $GRISTMILL_ATTEMPT = 2 || exit 75'");
    let job = home.job(&id);
    assert_eq!((&job["state"], &job["attempt"]), (&json!("completed"), &json!(2)));

    let home = Home::new();
    let id = home.enqueue(&["k"]);
    let mut worker = home.command(&["work", "--exec", "k=sh -c 'exit 69'"]).spawn().expect("a worker");
    wait_until(|| home.job(&id)["state"] == "scheduled");
    assert_eq!(home.job(&id)["attempt"], 0, "a snooze costs no attempt");
    worker.kill().and_then(|()| worker.wait()).expect("it is ours");
}

#[test]
fn the_program_gets_args_and_environment_and_gives_its_last_line() {
    let home = Home::new();
    let id = home.enqueue(&["k", "{\"n\": 7}", "--timeout", "1m", "--meta", "traceparent=00-1-2-3"]);
    let script = "read args; echo talk; printf '{\"args\":%s,\"env\":\"%s %s %s %s %s %s %s\"}\\n\\n' \"$args\" \
                  $GRISTMILL_JOB_ID $GRISTMILL_KIND $GRISTMILL_QUEUE $GRISTMILL_ATTEMPT $GRISTMILL_MAX_ATTEMPTS \
                  $GRISTMILL_IDEMPOTENCY_KEY $GRISTMILL_TRACEPARENT; test -n $GRISTMILL_TOKEN; test -n \"$GRISTMILL_DEADLINE\"";
    home.write("job.sh", script);
    work(&home, "sh job.sh");
    let output = &home.job(&id)["output"];
    assert_eq!(output["args"], json!({"n": 7}));
    assert_eq!(output["env"], format!("{id} k default 1 20 {id} 00-1-2-3"));
}

#[test]
fn a_program_that_reads_nothing_or_says_much_harms_nobody() {
    let large = format!("\"{}\"", "x".repeat(900_000));
    let home = Home::new();
    let file = home.write("large.ndjson", format!("{{\"kind\":\"k\",\"args\":{large}}}\n"));
    let id = home.enqueue(&["--file", &file]);
    work(&home, "true");
    assert_eq!(home.job(&id)["state"], "completed", "args that nobody reads are no failure");

    let job = job_of("{}", "sh -c 'yes talk | head -c 4000000; yes words | head -c 1000000 >&2; exit 1'");
    let message = job["errors"][0]["message"].as_str().expect("a message");
    assert!(message.len() < 16_000 && message.starts_with("exit code 1: "), "{message}");
}

#[test]
fn standard_error_is_the_log_and_cannot_steer_a_terminal() {
    let home = Home::new();
    let id = home.enqueue(&["k"]);
    work(&home, "sh -c 'printf \"first\\nred \\033[31m\\n\" >&2'");
    let shown = home.ok(&["jobs", "show", &id]).stdout;
    assert!(shown.contains("log of run 1") && shown.contains(" first\n"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "{shown}");
}

#[test]
fn a_timeout_ends_the_whole_process_group() {
    let home = Home::new();
    let id = home.enqueue(&["k", "--timeout", "300ms", "--max-attempts", "1"]);
    home.write("slow.sh", "sleep 600 & echo $! > child; wait");
    let started = Instant::now();
    work(&home, "sh slow.sh");
    assert!(started.elapsed() < Duration::from_secs(60));
    let job = home.job(&id);
    assert_eq!(
        (&job["state"], &job["errors"][0]["outcome"]),
        (&json!("discarded"), &json!("timeout")),
        "{job}"
    );
    let child = std::fs::read_to_string(home.path("child")).expect("it was started");
    wait_until(|| !runs(child.trim()));
}

#[test]
fn what_ignores_sigterm_is_killed_after_the_grace_and_a_cancel_stands() {
    let home = Home::new();
    let id = home.enqueue(&["k"]);
    home.write("deaf.sh", "trap '' TERM; echo $$ > pid; while :; do sleep 600; done");
    let mut worker =
        home.command(&["work", "--exec", "k=sh deaf.sh", "--grace", "300ms"]).spawn().expect("a worker");
    wait_until(|| home.path("pid").exists());
    home.ok(&["jobs", "cancel", &id]);
    wait_until(|| home.job(&id)["state"] == "cancelled");
    let pid = std::fs::read_to_string(home.path("pid")).expect("it was started");
    wait_until(|| !runs(pid.trim()));
    worker.kill().and_then(|()| worker.wait()).expect("it is ours");
}

#[test]
fn sigterm_ends_a_worker_and_gives_its_jobs_back() {
    let home = Home::new();
    let id = home.enqueue(&["k"]);
    let (mut worker, program) = slow_worker(&home, "100ms");
    terminate(&worker);
    assert!(ends(&mut worker).success());
    let job = home.job(&id);
    assert_eq!((&job["state"], &job["attempt"]), (&json!("available"), &json!(0)), "{job}");
    wait_until(|| !runs(&program));
}

#[test]
fn a_second_sigterm_stops_at_once_and_leaves_no_program_behind() {
    let home = Home::new();
    home.enqueue(&["k"]);
    let (mut worker, program) = slow_worker(&home, "10m");
    terminate(&worker);
    wait_until(|| said(&home).contains("a second signal stops at once"));
    // One that comes at once is taken for the first.
    let mut ended = None;
    wait_until(|| {
        terminate(&worker);
        ended = worker.try_wait().expect("it is ours");
        ended.is_some()
    });
    assert_eq!(ended.and_then(|status| status.code()), Some(1));
    assert!(said(&home).contains("error: stopped at once"));
    wait_until(|| !runs(&program));
}

/// `timeout` and many supervisors signal the process and then its whole group: the worker hears the same
/// signal twice, and once took that for a person who is impatient.
#[test]
fn two_signals_at_once_are_one() {
    let home = Home::new();
    let id = home.enqueue(&["k"]);
    let (mut worker, program) = slow_worker(&home, "300ms");
    for _ in 0..3 {
        terminate(&worker);
    }
    assert!(ends(&mut worker).success(), "{}", said(&home));
    assert!(said(&home).contains("ended: 1 given back"), "{}", said(&home));
    let job = home.job(&id);
    assert_eq!((&job["state"], &job["attempt"]), (&json!("available"), &json!(0)), "{job}");
    wait_until(|| !runs(&program));
}

/// A worker whose program runs, and the program's process.
fn slow_worker(home: &Home, grace: &str) -> (Child, String) {
    home.write("slow.sh", "echo $$ > pid; sleep 600");
    let stderr = std::fs::File::create(home.path("stderr")).expect("a file");
    let mut command = home.command(&["work", "--exec", "k=sh slow.sh", "--grace", grace]);
    let worker = command.stderr(stderr).spawn().expect("a worker");
    let pid = || std::fs::read_to_string(home.path("pid")).unwrap_or_default();
    wait_until(|| pid().ends_with('\n'));
    (worker, pid().trim().to_owned())
}

fn said(home: &Home) -> String {
    std::fs::read_to_string(home.path("stderr")).expect("the worker's file")
}

fn terminate(worker: &Child) {
    let sent = Command::new("kill").args(["-TERM", &worker.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
}

#[test]
fn kinds_queues_and_timeouts_may_stand_in_the_file() {
    let home = Home::new();
    let config = "[work.queues]\nmail = 2\n[work.handlers.k]\nexec = [\"sh\", \"-c\", \"sleep 600\"]\ntimeout = \"200ms\"\n\
                  [work.handlers.other]\nexec = \"echo 1\"\n";
    let config = home.write("workers.toml", config);
    let slow = home.enqueue(&["k", "--queue", "mail", "--max-attempts", "1"]);
    let other = home.enqueue(&["other", "--queue", "mail"]);
    home.ok(&["work", "--config", &config, "--drain"]);
    assert_eq!(home.job(&slow)["errors"][0]["outcome"], "timeout");
    assert_eq!(home.job(&other)["output"], 1);
}
