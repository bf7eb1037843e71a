//! One run of the server's process, from its start to its end.

use std::{
    fs::{self, OpenOptions},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::Signal;

use super::{account::Account, binaries::PostgresBinaries};
use crate::{error::ServerError, processes, waiting::until};

/// How long a start may take, recovery after a crash included, or an orderly end.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long an immediate shutdown may take: after five seconds the server kills its children itself,
/// postmaster.c.
const QUIT_PATIENCE: Duration = Duration::from_secs(10);
/// The line of `postmaster.pid` that tells how far the server is, pidfile.h.
const STATUS_LINE: usize = 7;

/// Dynamic shared memory begins with this name, dsm_impl.c. A killed server leaves more than a megabyte of
/// it, and a container often has 64.
const SHARED_MEMORY: &str = "/dev/shm/PostgreSQL.";

/// Everything a start needs, the same each time.
#[derive(Debug)]
pub(super) struct Recipe {
    pub(super) binaries: PostgresBinaries,
    pub(super) account: Account,
    pub(super) arguments: Vec<String>,
    pub(super) folder: PathBuf,
    pub(super) data: PathBuf,
    pub(super) log: PathBuf,
}

/// A server that runs, or stands still.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    paused: bool,
}

impl Running {
    /// Starts the server and waits until it takes connections.
    pub(super) fn start(recipe: &Recipe) -> Result<Self, ServerError> {
        let log = OpenOptions::new().create(true).append(true).open(&recipe.log);
        let log = log.map_err(|error| ServerError::at("open", &recipe.log, error))?;
        let both = log.try_clone().map_err(|error| ServerError::at("open", &recipe.log, error))?;
        let mut command = recipe.binaries.command("postgres");
        command.arg("-D").arg(&recipe.data).args(&recipe.arguments).current_dir(&recipe.folder);
        // In a group of its own, Ctrl-C at the terminal leaves its end to us.
        command.process_group(0).stdin(Stdio::null()).stdout(log).stderr(both);
        recipe.account.apply(&mut command);
        let child = command.spawn().map_err(|source| ServerError::starting(&command, source))?;
        let mut running = Self { child, paused: false };
        let mut ended = false;
        let ready = until(PATIENCE, || {
            ended = running.has_ended();
            ended || says_ready(&recipe.data, running.pid())
        });
        if ready && !ended {
            return Ok(running);
        }
        running.quit(&recipe.data);
        let log = fs::read_to_string(&recipe.log).unwrap_or_default();
        Err(ServerError::new(format!("the server did not start; its log ends with:\n{}", tail(&log))))
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn pause(&mut self) {
        processes::stop_family(self.pid());
        self.paused = true;
    }

    pub(super) fn resume(&mut self) {
        processes::resume_family(self.pid());
        self.paused = false;
    }

    /// SIGKILL to the server and all its children; returns when all are gone.
    pub(super) fn kill(mut self) {
        // Standing still, it starts no child that we would not know of.
        let children = processes::stop_family(self.pid());
        let memory = processes::mapped_files(self.pid(), &children, SHARED_MEMORY);
        for pid in &children {
            processes::send(*pid, Signal::KILL);
        }
        processes::send(self.pid(), Signal::KILL);
        let _ = self.child.wait();
        processes::wait_for_end(&children);
        for file in memory {
            // What a loss of power would take as well. Where it is gone already, so much the better.
            let _ = fs::remove_file(file);
        }
    }

    /// A fast shutdown: sessions are cut, everything is written; returns when it is done.
    pub(super) fn stop(mut self) -> Result<(), ServerError> {
        if self.paused {
            self.resume();
        }
        processes::send(self.pid(), Signal::INT);
        if until(PATIENCE, || self.has_ended()) {
            return Ok(());
        }
        self.kill();
        Err(ServerError::new(format!("the server did not stop in {PATIENCE:?} and was killed")))
    }

    /// The quickest end that leaves nothing behind, see the watchdog.
    pub(super) fn quit(mut self, data: &Path) {
        processes::send(self.pid(), Signal::QUIT);
        if self.paused {
            self.resume();
        }
        if !until(QUIT_PATIENCE, || self.has_ended()) {
            self.kill();
            release_shared_memory(data);
        }
    }

    fn has_ended(&mut self) -> bool {
        // An error means that it is not our child any more.
        !matches!(self.child.try_wait(), Ok(None))
    }
}

/// Ends the server that a dead owner has left behind, and gives back what it holds.
pub(super) fn end_orphan(data: &Path) {
    let Some(pid) = pid_file(data).and_then(|lines| lines.first()?.parse().ok()) else { return };
    if processes::was_started_with(pid, data) {
        processes::send(pid, Signal::QUIT);
        processes::resume_family(pid);
        until(QUIT_PATIENCE, || pid_file(data).is_none());
    } else {
        release_shared_memory(data);
    }
}

/// A killed server leaves a segment of System V shared memory, 56 bytes, of which a machine has 4,096
/// (SHMMNI). The next start with the same data takes it away; where there will be none, we do.
pub(super) fn release_shared_memory(data: &Path) {
    // `KEY ID` in line 7, pidfile.h.
    let id = pid_file(data).and_then(|lines| lines.get(6)?.split_whitespace().nth(1).map(str::to_owned));
    if let Some(id) = id {
        let _ = Command::new("ipcrm").args(["-m", &id]).stderr(Stdio::null()).status();
    }
}

/// True once the server with this number takes connections; that is how `pg_ctl` knows.
fn says_ready(data: &Path, pid: u32) -> bool {
    pid_file(data).is_some_and(|lines| {
        lines.first().is_some_and(|line| *line == pid.to_string())
            && lines.get(STATUS_LINE).is_some_and(|line| line == "ready")
    })
}

fn pid_file(data: &Path) -> Option<Vec<String>> {
    let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    Some(text.lines().map(|line| line.trim().to_owned()).collect())
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
