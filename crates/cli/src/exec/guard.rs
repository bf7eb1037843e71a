//! The worker's side of a guard: a process of ours that starts programs one after the other and outlives the
//! worker for as long as it takes to kill what they have started.
//!
//! ```text
//!  worker ──socket──► guard ──► program ──► whatever it starts
//!     │                 │ adopts every orphan below it; nothing escapes by forking or by a new session
//!     │                 └ the socket ends with the worker, by whatever signal: all below the guard is killed
//!     └ adopts what a killed guard leaves behind, and kills it
//! ```
//!
//! A guard is used for many attempts, so that an attempt costs one new process, as it would without guards.

mod channel;
mod message;
mod process;

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Weak};
use std::time::Duration;

use channel::Channel;
use message::{Order, Report};

pub(crate) use process::main;

/// The word on the command line that makes this program a guard.
pub(crate) const WORD: &str = "__guard";

/// A guard that has been idle for longer than this is not used again: it leaves soon.
pub(super) const USABLE_FOR: Duration = process::LEAVES_AFTER.saturating_sub(Duration::from_secs(10));

/// A guard. Dropped, it kills what it guards and leaves.
#[derive(Debug)]
pub(super) struct Guard {
    channel: Channel,
    pub(super) pid: i32,
}

/// How a guarded program ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    /// Processes that it started and that cannot be killed, such as those of another user.
    pub(super) left: usize,
}

/// Why a program was not started.
#[derive(Debug)]
pub(super) enum Unstarted {
    /// The guard could not start it, and is ready for another.
    Program(io::Error),
    /// The guard has gone.
    Guard(io::Error),
}

impl Guard {
    /// Starts a guard. Must be called within a runtime, and under the lock of the registry that waits for
    /// children.
    pub(super) fn spawn() -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let channel = Channel::new(ours)?;
        let mut command = Command::new(own_program()?);
        // A name and a group of its own: killing the worker by either must leave the guard alive to clean up.
        command.arg0("grist-guard").arg(WORD).process_group(0);
        command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn()?;
        let pid = i32::try_from(child.id()).map_err(|_| io::ErrorKind::InvalidData)?;
        Ok(Self { channel, pid })
    }

    /// Starts a program with these files as its standard input, output and error.
    ///
    /// # Cancel safety
    /// Drop the guard then.
    pub(super) async fn start(
        &mut self,
        words: &[String],
        variables: Vec<(String, Option<String>)>,
        files: [OwnedFd; channel::FILES],
    ) -> Result<(), Unstarted> {
        let order = Order::Start { words: words.to_vec(), variables };
        let borrowed = [files[0].as_fd(), files[1].as_fd(), files[2].as_fd()];
        self.channel.send(&order, &borrowed).await.map_err(Unstarted::Guard)?;
        drop(files);
        match self.report().await.map_err(Unstarted::Guard)? {
            Report::Started => Ok(()),
            Report::NotStarted { code: Some(code), .. } => {
                Err(Unstarted::Program(io::Error::from_raw_os_error(code)))
            }
            Report::NotStarted { code: None, text } => Err(Unstarted::Program(io::Error::other(text))),
            Report::Ended { .. } => Err(Unstarted::Guard(io::ErrorKind::InvalidData.into())),
        }
    }

    /// Waits until the program has ended and nothing that it started is left.
    ///
    /// # Errors
    /// The guard has gone.
    ///
    /// # Cancel safety
    /// It can be called again.
    pub(super) async fn ended(&mut self) -> io::Result<Ended> {
        match self.report().await? {
            Report::Ended { status, left } => Ok(Ended { status: ExitStatus::from_raw(status), left }),
            Report::Started | Report::NotStarted { .. } => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// SIGTERM to the program's process group.
    pub(super) async fn terminate(&self) {
        // A guard that has gone shows in `ended`.
        let _ = self.channel.send(&Order::Terminate, &[]).await;
    }

    /// SIGKILL to the program and everything it started.
    pub(super) async fn kill(&self) {
        let _ = self.channel.send(&Order::Kill, &[]).await;
    }

    /// Lets another owner close this guard.
    pub(super) fn closer(&self) -> Closer {
        Closer(Arc::downgrade(&self.channel.socket))
    }

    async fn report(&mut self) -> io::Result<Report> {
        self.channel.receive().await?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// Closes a guard that others may own.
#[derive(Debug)]
pub(super) struct Closer(Weak<tokio::net::UnixStream>);

impl Closer {
    pub(super) fn close(&self) {
        if let Some(socket) = self.0.upgrade() {
            let _ = rustix::net::shutdown(&socket, rustix::net::Shutdown::Both);
        }
    }
}

/// This program, also where its file has been replaced by a newer one.
fn own_program() -> io::Result<std::path::PathBuf> {
    if cfg!(target_os = "linux") { Ok("/proc/self/exe".into()) } else { std::env::current_exe() }
}
