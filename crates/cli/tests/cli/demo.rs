//! The first five minutes.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use crate::program::Home;

#[test]
fn every_job_of_the_demo_is_accounted_for() {
    let home = Home::new();
    std::fs::create_dir_all(home.path("files/deep")).expect("made");
    for name in ["files/a", "files/deep/b", "files/deep/c d"] {
        home.write(name, name);
    }
    std::os::unix::fs::symlink("/dev/zero", home.path("files/endless")).expect("linked");
    let made =
        std::process::Command::new("mkfifo").arg(home.path("files/pipe")).status().expect("mkfifo runs");
    assert!(made.success());
    let ran = home.ok(&["demo", "files", "--no-serve"]);
    let row = |kind: &str| {
        let line = ran
            .stdout
            .lines()
            .find(|line| line.starts_with(kind))
            .unwrap_or_else(|| panic!("{}", ran.stdout));
        line.split_whitespace().skip(1).map(|cell| cell.parse().expect("a number")).collect::<Vec<u64>>()
    };
    assert_eq!(row("checksum"), [3, 0, 1, 0, 4], "a pipe is a job that fails, a link is none");
    assert_eq!(row("flaky"), [3, 0, 0, 0, 3]);
    assert_eq!(row("cancelled"), [0, 4, 0, 0, 4]);
    assert_eq!(row("unique"), [1, 0, 0, 0, 1]);
    assert_eq!(row("all"), [13, 4, 7, 0, 24]);
    for said in [
        "24 jobs enqueued",
        "2 duplicates were not stored",
        "neither a file nor a folder",
        "panics on purpose",
    ] {
        assert!(ran.stdout.contains(said), "{said}: {}", ran.stdout);
    }
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
}

#[test]
fn a_demo_that_is_stopped_says_so() {
    let home = Home::new();
    std::fs::create_dir(home.path("files")).expect("made");
    // One of its jobs waits half a second: there is time to stop it after its first line.
    let mut command = home.command(&["demo", "files"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut said = String::new();
    let mut stderr = BufReader::new(child.stderr.take().expect("a pipe"));
    stderr.read_line(&mut said).expect("it says where its store is");
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
    let output = child.wait_with_output().expect("it ends");
    stderr.read_to_string(&mut said).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("error: stopped "), "{said}");
}

#[test]
fn a_demo_without_files_works_and_can_be_kept() {
    let home = Home::new();
    std::fs::create_dir(home.path("empty")).expect("made");
    let ran =
        home.command(&["demo", "empty", "--keep"]).env("TMPDIR", home.path("")).output().expect("it runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let stdout = String::from_utf8(ran.stdout).expect("UTF-8");
    let show = stdout.lines().find(|line| line.contains("jobs show --db")).expect("it says how to go on");
    let words: Vec<&str> = show.split_whitespace().skip(1).collect();
    assert!(home.ok(&words).stdout.contains("discarded"));
}
