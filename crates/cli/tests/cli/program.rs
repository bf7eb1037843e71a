//! The program, on a store in a folder of its own.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use gristmill_testserver::Postgres;
use serde_json::Value;
use tempfile::TempDir;

/// A folder with the store `jobs.db` unless another one is named, and calls of the program in it.
pub(crate) struct Home {
    folder: TempDir,
    url: Option<String>,
}

/// What a call came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder"), url: None }
    }

    /// With the store of this URL.
    pub(crate) fn on(url: impl Into<String>) -> Self {
        Self { url: Some(url.into()), ..Self::new() }
    }

    /// With an empty PostgreSQL database.
    pub(crate) fn on_server() -> Self {
        Self::on(Postgres::shared().fresh_database())
    }

    /// The URL of the store, where one is named.
    pub(crate) fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file and says where it is.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).expect("the folder may be written");
        path.display().to_string()
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = command(words, self.folder.path());
        command.envs(self.url.iter().map(|url| ("GRISTMILL_DB", url)));
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        self.run_with(words, b"")
    }

    /// Runs the program with something on its standard input.
    pub(crate) fn run_with(&self, words: &[&str], input: &[u8]) -> Ran {
        let mut command = self.command(words);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stdin = child.stdin.take().expect("its input is a pipe");
        let output = std::thread::scope(|scope| {
            // A program that has seen enough closes its input.
            scope.spawn(move || drop(stdin.write_all(input)));
            child.wait_with_output().expect("the program ends")
        });
        output.into()
    }

    /// Runs the program, which must succeed.
    pub(crate) fn ok(&self, words: &[&str]) -> Ran {
        let ran = self.run(words);
        assert_eq!(ran.code, 0, "{words:?}: {}", ran.stderr);
        ran
    }

    /// Enqueues a job and gives its id.
    pub(crate) fn enqueue(&self, words: &[&str]) -> String {
        let ran = self.ok(&[&["enqueue"], words].concat());
        ran.stdout.trim().to_owned()
    }

    /// The number of jobs in a state.
    pub(crate) fn count(&self, state: &str) -> u64 {
        self.ok(&["stats", "--json"]).json()["totals"][state].as_u64().expect("a count")
    }

    /// A job as JSON.
    pub(crate) fn job(&self, id: &str) -> Value {
        self.ok(&["jobs", "show", id, "--json"]).json()
    }
}

/// A call of the program in a folder, with nothing of this process's environment that would change it.
pub(crate) fn command(words: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gristmill"));
    command.args(words).current_dir(folder).env("NO_COLOR", "1").env("COLUMNS", "100");
    command.env_remove("GRISTMILL_DB").env_remove("GRISTMILL_LOG");
    command
}

impl Ran {
    /// The one JSON value that was printed.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }

    /// One JSON value a line.
    pub(crate) fn ndjson(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().expect("it is not killed"),
            stdout: String::from_utf8(output.stdout).expect("it prints UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("it says UTF-8"),
        }
    }
}

/// Whether a process runs. A zombie that its parent has not waited for yet runs nothing any more.
pub(crate) fn runs(pid: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    !status.is_empty() && !status.contains("State:\tZ")
}

/// Waits for a fact, looking often: it lies in another process, which can only be examined again.
pub(crate) fn wait_until(mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(60), "waited in vain");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// Waits for the end of a process.
pub(crate) fn ends(process: &mut Child) -> ExitStatus {
    let mut ended = None;
    wait_until(|| {
        ended = process.try_wait().expect("it is ours");
        ended.is_some()
    });
    ended.expect("it has ended")
}
