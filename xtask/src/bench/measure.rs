//! Takes one measurement of one program.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{self, Stdio},
};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use super::{
    options::Sizes,
    plan::{Figure, Program, Side},
    programs::{Launch, Programs},
    server::Server,
};
use crate::workspace;

/// The programs, and where they may write.
pub(crate) struct Bench {
    programs: Programs,
    server: Server,
    scratch: PathBuf,
    sizes: Sizes,
    runs: u32,
    latest: Option<Run>,
}

/// What a side and a number of jobs printed.
struct Run {
    side: Side,
    jobs: u32,
    stdout: String,
}

/// What one run of a program came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measurement {
    pub(crate) figure: f64,
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
}

/// Why there is no measurement.
#[derive(Debug)]
pub(crate) enum NoMeasurement {
    /// What it needs is not on this machine.
    Missing(String),
    /// It ran and went wrong.
    Failed(anyhow::Error),
}

impl Bench {
    /// Builds and starts nothing yet.
    pub(crate) fn new(root: &Path, before: Option<PathBuf>, sizes: Sizes) -> Self {
        let scratch = workspace::target_folder(root).join(format!("bench-{}", process::id()));
        Self {
            programs: Programs::new(root.to_owned(), before, scratch.clone()),
            server: Server::default(),
            scratch,
            sizes,
            runs: 0,
            latest: None,
        }
    }

    /// Begins a round, in which every command line is run once.
    pub(crate) fn begin_round(&mut self) {
        self.latest = None;
    }

    /// Runs one side once, on a fresh database; or reads another figure of the round's latest run, if that is
    /// the same.
    pub(crate) fn measure(&mut self, side: Side, jobs: u32) -> Result<Measurement, NoMeasurement> {
        if let Some(latest) = &self.latest
            && latest.side.is_same_run(side)
            && latest.jobs == jobs
        {
            return read_line(&latest.stdout, side.figure).map_err(NoMeasurement::Failed);
        }
        // Our own programs must build, everywhere.
        let missing = |reason: String| {
            if side.program.is_peer() || side.program.is_before() {
                NoMeasurement::Missing(reason)
            } else {
                NoMeasurement::Failed(anyhow!(reason))
            }
        };
        let program = self.programs.find(side.program).map_err(missing)?;
        let url = if side.needs_postgres() {
            self.server.fresh_database().map_err(NoMeasurement::Missing)?
        } else {
            String::new()
        };
        self.runs += 1;
        let folder = self.scratch.join(self.runs.to_string());
        let measured = fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make {}", folder.display()))
            .and_then(|()| run(&program, side, self.sizes, jobs, &Place { folder: &folder, url: &url }));
        // What cannot be removed is left below the target folder, where `cargo clean` finds it.
        drop(fs::remove_dir_all(&folder));
        let dropped = self.server.drop_database(&url).map_err(|reason| anyhow!(reason));
        let (measured, stdout) =
            measured.and_then(|measured| dropped.map(|()| measured)).map_err(NoMeasurement::Failed)?;
        self.latest = Some(Run { side, jobs, stdout });
        Ok(measured)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.scratch));
    }
}

/// Where one run may write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'run> {
    pub(crate) folder: &'run Path,
    /// Empty where no server is needed.
    pub(crate) url: &'run str,
}

fn run(
    launch: &Launch,
    side: Side,
    sizes: Sizes,
    jobs: u32,
    place: &Place<'_>,
) -> Result<(Measurement, String)> {
    let line = command_line(side, sizes, jobs, place);
    // Both sides must write to the same disk, also where a program chooses a temporary file itself.
    let output = launch
        .command()
        .args(&line)
        .env("TMPDIR", place.folder)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {launch}"))?;
    let told = || format!("{launch} {}", line.join(" "));
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let measured = read_line(&stdout, side.figure);
    // A run that loses or doubles a job ends with an error code too, and its row says so.
    let explained = measured.as_ref().is_ok_and(|measured| measured.lost + measured.duplicated > 0);
    if !output.status.success() && !explained {
        bail!("`{}` failed: {}", told(), output.status);
    }
    measured.with_context(told).map(|measured| (measured, stdout))
}

/// The arguments of one run.
pub(crate) fn command_line(side: Side, sizes: Sizes, jobs: u32, place: &Place<'_>) -> Vec<String> {
    let is_product = matches!(side.program, Program::Product | Program::ProductBefore);
    let first = is_product.then(|| "bench".to_owned());
    let folder = place.folder.to_string_lossy();
    let values = [
        ("{jobs}", jobs.to_string()),
        ("{backlog}", sizes.backlog.to_string()),
        ("{history}", sizes.history.to_string()),
        ("{seconds}", sizes.seconds.to_string()),
        ("{url}", place.url.to_owned()),
        ("{db}", format!("{folder}/bench.db")),
        ("{dir}", folder.to_string()),
    ];
    // Filled in after the cut at blanks: a folder's name may hold one.
    let filled = side.arguments.split(' ').map(|part| {
        values.iter().fold(part.to_owned(), |part, (placeholder, value)| part.replace(placeholder, value))
    });
    first.into_iter().chain(filled).chain(["--json".to_owned()]).collect()
}

/// Finds the figure in the last JSON line of `stdout`.
pub(crate) fn read_line(stdout: &str, figure: Figure) -> Result<Measurement> {
    let line = stdout.lines().rev().find(|line| line.starts_with('{')).context("printed no JSON line")?;
    let line: Value = serde_json::from_str(line).context("printed a JSON line that does not parse")?;
    let mut value = &line;
    for member in figure.path() {
        value = value
            .get(member)
            .with_context(|| format!("the JSON line has no `{}`", figure.path().join(".")))?;
    }
    let count = |member: &str| {
        line.get(member)
            .and_then(Value::as_u64)
            .with_context(|| format!("the JSON line has no count `{member}`"))
    };
    Ok(Measurement {
        figure: value.as_f64().with_context(|| format!("`{}` is not a number", figure.path().join(".")))?,
        lost: count("lost")?,
        duplicated: count("duplicated")?,
    })
}
