//! Builds both programs and takes one measurement of one of them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::plan::{Figure, Program, Side};
use crate::{step, workspace};

/// Both programs, and a folder in which they may write.
pub(crate) struct Bench {
    floors: PathBuf,
    product: PathBuf,
    scratch: PathBuf,
    runs: u32,
}

/// What one run of a program came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measurement {
    pub(crate) figure: f64,
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
}

impl Bench {
    /// Builds both programs with optimisation.
    pub(crate) fn build(root: &Path) -> Result<Self> {
        let mut floors = workspace::cargo(root);
        floors.args([
            "build",
            "--release",
            "--manifest-path",
            "bench/Cargo.toml",
            "--package",
            "gristmill-floors",
        ]);
        let mut product = workspace::cargo(root);
        product.args(["build", "--release", "--package", "gristmill-cli"]);
        for build in [&mut floors, &mut product] {
            if !step::succeeded(build)? {
                bail!("the build failed");
            }
        }
        let target = workspace::target_folder(root);
        // With CARGO_TARGET_DIR both workspaces share one folder.
        let floors_target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(_) => target.clone(),
            None => root.join("bench/target"),
        };
        let scratch = target.join(format!("bench-{}", process::id()));
        fs::create_dir_all(&scratch).with_context(|| format!("cannot make {}", scratch.display()))?;
        let program = |name: &str| format!("{name}{}", std::env::consts::EXE_SUFFIX);
        Ok(Self {
            floors: floors_target.join("release").join(program("gristmill-floors")),
            product: target.join("release").join(program("gristmill")),
            scratch,
            runs: 0,
        })
    }

    /// Runs one side once, on a fresh database.
    pub(crate) fn measure(&mut self, side: Side, jobs: u32) -> Result<Measurement> {
        self.runs += 1;
        let folder = self.scratch.join(self.runs.to_string());
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let measured = self.run(side, jobs, &folder);
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        measured
    }

    fn run(&self, side: Side, jobs: u32, folder: &Path) -> Result<Measurement> {
        let line = command_line(side, jobs, &folder.to_string_lossy());
        let program = match side.program {
            Program::Floor => &self.floors,
            Program::Product => &self.product,
        };
        // Both sides must write to the same disk, also where a program chooses a temporary file itself.
        let output = Command::new(program)
            .args(&line)
            .env("TMPDIR", folder)
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let told = || format!("{} {}", program.display(), line.join(" "));
        let measured = read_line(&String::from_utf8_lossy(&output.stdout), side.figure);
        // A run that loses or doubles a job ends with an error code too, and its row says so.
        let explained = measured.as_ref().is_ok_and(|measured| measured.lost + measured.duplicated > 0);
        if !output.status.success() && !explained {
            bail!("`{}` failed: {}", told(), output.status);
        }
        measured.with_context(told)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // What cannot be removed is left below the target folder, where `cargo clean` finds it.
        drop(fs::remove_dir_all(&self.scratch));
    }
}

/// The arguments of one run whose database lies in `folder`.
pub(crate) fn command_line(side: Side, jobs: u32, folder: &str) -> Vec<String> {
    let first = match side.program {
        Program::Floor => None,
        Program::Product => Some("bench".to_owned()),
    };
    let (jobs, database) = (jobs.to_string(), format!("{folder}/bench.db"));
    // Filled in after the cut at blanks: a folder's name may hold one.
    let filled = side
        .arguments
        .split(' ')
        .map(|part| part.replace("{jobs}", &jobs).replace("{dir}", folder).replace("{db}", &database));
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
