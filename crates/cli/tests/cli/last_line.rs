//! The last line and the exit code of a command are true, whatever fails and when.

use std::process::{Command, Stdio};

use gristmill_testserver::Postgres;
use serde_json::json;

use crate::program::{Home, ends, wait_until};

/// A store on a server whose inserts of jobs run this first.
fn server_with(trigger: &str) -> Home {
    let home = Home::on_server();
    home.ok(&["migrate"]);
    let sql = format!(
        "CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {trigger} RETURN NEW; END $$;
         CREATE TRIGGER fault BEFORE INSERT ON gristmill.jobs FOR EACH ROW EXECUTE FUNCTION fault()"
    );
    Postgres::shared().psql_at(home.url().expect("a server"), &sql);
    home
}

fn lines(count: usize, last: &str) -> String {
    "{\"kind\":\"k\"}\n".repeat(count - 1) + &format!("{{\"kind\":\"{last}\"}}\n")
}

#[test]
fn a_stream_that_fails_in_the_middle_says_what_is_stored_and_what_is_not() {
    let home = server_with("IF NEW.kind = 'bad' THEN RAISE EXCEPTION 'no'; END IF;");
    let stream = lines(1_500, "bad") + &lines(2_500, "k");
    let ran = home.run_with(&["enqueue", "--file", "-"], stream.as_bytes());
    assert_ne!(ran.code, 0, "{}", ran.stderr);
    let stored = home.count("available");
    assert_eq!(ran.stdout.lines().count() as u64, stored, "each id is of a stored job: {}", ran.stderr);
    let said = format!("hint: {stored} jobs are stored, 0 may be, {} are not", 4_000 - stored);
    assert!(ran.stderr.contains(&said), "{said}: {}", ran.stderr);
}

#[test]
fn a_first_call_without_an_answer_says_what_may_be_stored() {
    let home = server_with("PERFORM pg_terminate_backend(pg_backend_pid());");
    let ran = home.run_with(&["enqueue", "--file", "-"], lines(700, "k").as_bytes());
    assert_eq!((ran.code, ran.stdout.as_str()), (5, ""), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: 0 jobs are stored, 700 may be, 0 are not"), "{}", ran.stderr);

    let one = home.run(&["enqueue", "k"]);
    assert_eq!(one.code, 5, "{}", one.stderr);
    assert!(
        one.stderr.contains("the job may be stored all the same; `gristmill jobs show "),
        "{}",
        one.stderr
    );
}

#[test]
fn a_verb_that_fails_in_the_middle_says_what_is_done() {
    let home = Home::on_server();
    let stream = lines(700, "bad") + &lines(300, "k");
    assert_eq!(home.run_with(&["enqueue", "--file", "-"], stream.as_bytes()).code, 0);
    let fault = "CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 IF OLD.kind = 'bad' THEN RAISE EXCEPTION 'no'; END IF; RETURN OLD; END $$; \
                 CREATE TRIGGER fault BEFORE DELETE ON gristmill.jobs FOR EACH ROW EXECUTE FUNCTION fault()";
    Postgres::shared().psql_at(home.url().expect("a server"), fault);
    let ran = home.run(&["jobs", "delete", "--all", "--yes"]);
    let gone = 1_000 - home.count("available");
    assert_ne!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(ran.stdout.lines().count() as u64, gone, "{}", ran.stderr);
    assert!(
        ran.stderr.contains(&format!("hint: {gone} jobs of the first {gone} are done")),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_stream_that_is_stopped_says_what_is_stored() {
    let home = Home::new();
    home.ok(&["migrate"]);
    let stderr = std::fs::File::create(home.path("stderr")).expect("a file");
    let mut command = home.command(&["enqueue", "k", "--file", "-", "--skip-invalid"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(stderr).spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut stdin, "{}\n".repeat(2_500).as_bytes()).expect("it reads");
    wait_until(|| home.count("available") == 2_000);
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
    drop(stdin);
    let said = std::fs::read_to_string(home.path("stderr")).expect("ours");
    assert!(said.contains("error: stopped before the end of the stream"), "{said}");
    assert!(said.contains("hint: 2000 jobs are stored, 0 may be, those that follow"), "{said}");
}

/// The worker's success comes after its lease has passed on: the job runs again, so the command has not
/// succeeded.
#[test]
fn a_worker_whose_end_of_a_run_came_too_late_does_not_succeed() {
    let home = Home::new();
    let id = home.enqueue(&["k"]);
    home.write("job.sh", "echo $$ > pid; while test ! -e go; do sleep 0.01; done");
    let stderr = std::fs::File::create(home.path("stderr")).expect("a file");
    let mut command = home.command(&["work", "--exec", "k=sh job.sh", "--lease", "1s", "--drain"]);
    let mut worker = command.stderr(stderr).spawn().expect("a worker");
    wait_until(|| home.path("pid").exists());
    let signal = |name: &str| {
        let sent = Command::new("kill").args([name, &worker.id().to_string()]).status().expect("kill runs");
        assert!(sent.success());
    };
    signal("-STOP");
    home.write("go", "");
    // Another worker finds the lease expired and runs the job.
    home.ok(&["work", "--exec", "k=true", "--lease", "1s", "--drain"]);
    assert_eq!(home.job(&id)["state"], json!("completed"));
    signal("-CONT");
    let code = ends(&mut worker).code();
    let said = std::fs::read_to_string(home.path("stderr")).expect("ours");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("error: not everything that ran is stored: "), "{said}");
}
