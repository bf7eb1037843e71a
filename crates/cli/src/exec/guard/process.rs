//! A guard's own process: `gristmill __guard`, on a socket as its standard input.
//!
//! It adopts every orphan below it, so whatever a program has started stays a descendant, also what has
//! forked twice or made a session of its own. A program has ended when nothing below the guard is left. Its
//! worker's death closes the socket, by whatever signal that died; then the guard kills all of it and leaves.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal as Sent, kill_process_group};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, timeout};

use super::channel::Channel;
use super::message::{Order, Report};
use crate::exec::kin;

/// A guard without work leaves after this long. Its worker stops using it some seconds before.
pub(super) const LEAVES_AFTER: Duration = Duration::from_secs(60);
/// How long processes that cannot be killed are waited for before the worker gets its answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest pause between two looks at what is left.
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// Signals that are meant for the worker: sent to all processes of a service, they must not end a guard
/// before it. A handler, unlike an ignored signal, is not inherited by programs.
const NOT_MINE: [fn() -> SignalKind; 7] = [
    SignalKind::hangup,
    SignalKind::interrupt,
    SignalKind::terminate,
    SignalKind::quit,
    SignalKind::user_defined1,
    SignalKind::user_defined2,
    SignalKind::alarm,
];

/// Is a guard until its worker has gone.
pub(crate) fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(serve())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

async fn serve() -> io::Result<()> {
    let _not_mine = NOT_MINE.map(|kind| signal(kind()));
    let ended = signal(SignalKind::child())?;
    kin::adopt_orphans();
    kin::set_name(c"grist-guard");
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut guard = Guard { channel: Channel::new(socket)?, ended };
    let served = guard.serve().await;
    // The worker has gone, or cannot be understood: what is left goes with it, however long that takes.
    guard.end_rest(None).await;
    served
}

struct Guard {
    channel: Channel,
    /// A child has ended.
    ended: Signal,
}

impl Guard {
    async fn serve(&mut self) -> io::Result<()> {
        while let Ok(received) = timeout(LEAVES_AFTER, self.channel.receive::<Order>()).await {
            match received? {
                None => break,
                Some(Order::Start { words, variables }) => {
                    let started = match self.channel.files() {
                        Some(files) => start(&words, variables, files),
                        None => Err(rustix::io::Errno::MFILE.into()),
                    };
                    match started {
                        Ok(leader) => self.watch(leader).await?,
                        Err(error) => self.channel.send(&Report::not_started(&error), &[]).await?,
                    }
                }
                // Sent before the worker knew that the program had ended.
                Some(Order::Terminate | Order::Kill) => {}
            }
        }
        Ok(())
    }

    /// Until the program has ended, with all it started.
    async fn watch(&mut self, leader: Pid) -> io::Result<()> {
        self.channel.send(&Report::Started, &[]).await?;
        let status = loop {
            tokio::select! {
                order = self.channel.receive::<Order>() => match order? {
                    Some(Order::Terminate) => {
                        let _ = kill_process_group(leader, Sent::TERM);
                        // A stopped process gets the signal only when it runs again.
                        let _ = kill_process_group(leader, Sent::CONT);
                    }
                    Some(Order::Kill) => {
                        let _ = kill_process_group(leader, Sent::KILL);
                        kin::kill_descendants();
                    }
                    Some(Order::Start { .. }) => return Err(io::ErrorKind::InvalidData.into()),
                    None => return Err(io::ErrorKind::UnexpectedEof.into()),
                },
                _ = self.ended.recv() => {
                    if let Some(status) = kin::reap().status_of(leader) {
                        break status;
                    }
                }
            }
        };
        let left = self.end_rest(Some(PATIENCE)).await;
        self.channel.send(&Report::Ended { status, left }, &[]).await
    }

    /// Kills what is left until there is nothing, at most for a while. Says how many are left.
    async fn end_rest(&mut self, patience: Option<Duration>) -> usize {
        let since = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            if kin::reap().none_left {
                return 0;
            }
            let left = kin::kill_descendants();
            if patience.is_some_and(|patience| since.elapsed() > patience) {
                return left.max(1);
            }
            let _ = timeout(pause, self.ended.recv()).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Starts a program in a process group of its own.
fn start(words: &[String], variables: Vec<(String, Option<String>)>, files: [OwnedFd; 3]) -> io::Result<Pid> {
    let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let [stdin, stdout, stderr] = files.map(Stdio::from);
    let mut command = Command::new(program);
    command.args(arguments).stdin(stdin).stdout(stdout).stderr(stderr).process_group(0);
    for (name, value) in variables {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    // Nothing waits for this `Child`: every child is waited for in `kin::reap`.
    let child = command.spawn()?;
    i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or_else(|| io::ErrorKind::InvalidData.into())
}
