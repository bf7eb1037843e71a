//! The `gristmill` program in a temporary folder, on a store of its own.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use tempfile::TempDir;

use crate::store::Store;
use crate::worker::Worker;

/// The program, and a store of its own.
#[derive(Debug)]
pub struct Product {
    folder: TempDir,
    store: Store,
    /// Workers that were started.
    workers: AtomicUsize,
}

impl Default for Product {
    fn default() -> Self {
        Self::new()
    }
}

impl Product {
    /// A product without jobs, in a file.
    ///
    /// # Panics
    /// When no temporary folder can be made.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = Store::File(folder.path().join("jobs.db"));
        Self { folder, store, workers: AtomicUsize::new(0) }
    }

    /// A product on the PostgreSQL database of this URL.
    ///
    /// # Panics
    /// When no temporary folder can be made.
    pub fn on_server(url: impl Into<String>) -> Self {
        Self { store: Store::Server(url.into()), ..Self::new() }
    }

    /// The folder it works in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where its jobs are.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// A call of the program, with the store in its environment.
    pub fn command<I: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = I>) -> Command {
        self.command_of(Self::program(), words)
    }

    /// This program: `GRISTMILL_BIN`, or built once from this workspace.
    pub fn program() -> &'static Path {
        static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
        PROGRAM.get_or_init(|| std::env::var_os("GRISTMILL_BIN").map_or_else(build, PathBuf::from))
    }

    /// A call of another program, such as that of the previous release, with the store in its environment.
    pub fn command_of<I: AsRef<OsStr>>(&self, program: &Path, words: impl IntoIterator<Item = I>) -> Command {
        let mut command = Command::new(program);
        command.args(words).env("GRISTMILL_DB", self.store.url()).current_dir(self.folder());
        command.env_remove("GRISTMILL_LOG").env("NO_COLOR", "1");
        command
    }

    /// Runs the program with something on its standard input.
    ///
    /// # Panics
    /// When the program cannot be run.
    pub fn run_with<I: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = I>, input: &[u8]) -> Output {
        let output = Self::output(self.command(words), input);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// Runs another program with something on its standard input; what it prints.
    ///
    /// # Panics
    /// When the program cannot be run, or fails.
    pub fn run_of_with<I: AsRef<OsStr>>(
        &self,
        program: &Path,
        words: impl IntoIterator<Item = I>,
        input: &[u8],
    ) -> String {
        let output = Self::output(self.command_of(program, words), input);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs another program; what it prints.
    ///
    /// # Panics
    /// When the program cannot be run, or fails.
    pub fn run_of<I: AsRef<OsStr>>(&self, program: &Path, words: impl IntoIterator<Item = I>) -> String {
        self.run_of_with(program, words, b"")
    }

    /// Runs another program, which may fail.
    ///
    /// # Errors
    /// What it prints on stderr when it fails.
    ///
    /// # Panics
    /// When the program cannot be run.
    pub fn try_of<I: AsRef<OsStr>>(
        &self,
        program: &Path,
        words: impl IntoIterator<Item = I>,
    ) -> Result<String, String> {
        let output = Self::output(self.command_of(program, words), b"");
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    fn output(mut command: Command, input: &[u8]) -> Output {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stdin = child.stdin.take().expect("its input is a pipe");
        std::thread::scope(|scope| {
            // A program that has seen enough closes its input.
            scope.spawn(move || drop(stdin.write_all(input)));
            child.wait_with_output().expect("the program ends")
        })
    }

    /// Runs the program and reads the one JSON value it prints.
    ///
    /// # Panics
    /// When it fails or prints something else.
    pub fn json<I: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = I>) -> Value {
        let output = self.run_with(words, b"");
        serde_json::from_slice(&output.stdout).expect("it prints one JSON value")
    }

    /// The number of jobs in a state.
    ///
    /// # Panics
    /// When the program says something else.
    pub fn count(&self, state: &str) -> u64 {
        self.counts([state])[0]
    }

    /// The numbers of jobs in some states, all of one moment.
    ///
    /// # Panics
    /// When the program says something else.
    pub fn counts<const N: usize>(&self, states: [&str; N]) -> [u64; N] {
        let totals = &self.json(["stats", "--json"])["totals"];
        states.map(|state| totals[state].as_u64().expect("a count"))
    }

    /// Starts a worker process.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn worker<I: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = I>) -> Worker {
        self.worker_of(Self::program(), words)
    }

    /// Starts a worker process of another program.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn worker_of<I: AsRef<OsStr>>(&self, program: &Path, words: impl IntoIterator<Item = I>) -> Worker {
        let mut command = self.command_of(program, ["work"]);
        let log = self.log(self.workers.fetch_add(1, Ordering::Relaxed));
        let stderr = File::create(&log).expect("a log file");
        command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        Worker { child: command.spawn().expect("a worker starts"), log }
    }

    /// What the workers said so far.
    pub fn workers_log(&self) -> String {
        let started = self.workers.load(Ordering::Relaxed);
        (0..started).map(|number| std::fs::read_to_string(self.log(number)).unwrap_or_default()).collect()
    }

    fn log(&self, number: usize) -> PathBuf {
        self.folder().join(format!("worker-{number}.log"))
    }
}

fn build() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--package", "gristmill-cli", "--message-format", "json"])
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    let messages = String::from_utf8(output.stdout).expect("cargo speaks UTF-8");
    let built = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let program = built.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next_back();
    program.expect("`cargo build --package gristmill-cli` gives the program")
}
