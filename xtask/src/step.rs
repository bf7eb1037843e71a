//! One named command of a longer run, timed.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use crate::workspace;

/// A cargo command with the environment it needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    /// What follows `cargo` on the command line.
    pub(crate) arguments: &'static [&'static str],
    pub(crate) environment: &'static [(&'static str, &'static str)],
}

impl Step {
    /// The line to type to run this step alone.
    pub(crate) fn command_line(&self) -> String {
        let variables = self.environment.iter().map(|(name, value)| format!("{name}=\"{value}\" "));
        format!("{}cargo {}", variables.collect::<String>(), self.arguments.join(" "))
    }

    /// Runs the step with the caller's own stdout and stderr; true if it succeeded.
    pub(crate) fn run(&self, root: &Path) -> Result<bool> {
        let mut command = workspace::cargo(root);
        command.args(self.arguments).envs(self.environment.iter().copied());
        succeeded(&mut command)
    }
}

/// Runs `command` to its end; true if its exit code is 0.
pub(crate) fn succeeded(command: &mut Command) -> Result<bool> {
    let status = command
        .status()
        .with_context(|| format!("cannot start `{}`", command.get_program().to_string_lossy()))?;
    Ok(status.success())
}

/// Measures how long a step takes.
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
