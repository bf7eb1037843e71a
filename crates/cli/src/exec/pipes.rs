//! The three pipes of a program.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::process::{Resource, getrlimit};
use tokio::net::unix::pipe::{Receiver, Sender};

/// Files that are left for the store and for what else this process opens. Programs that would need them
/// wait.
const SPARE: u64 = 8;

/// This process's ends.
#[derive(Debug)]
pub(super) struct Pipes {
    pub(super) stdin: Sender,
    pub(super) stdout: Receiver,
    pub(super) stderr: Receiver,
}

/// Makes the pipes of a program, and gives its ends apart.
pub(super) fn pipes() -> io::Result<(Pipes, [OwnedFd; 3])> {
    let (stdin, to_stdin) = io::pipe()?;
    let (from_stdout, stdout) = io::pipe()?;
    let (from_stderr, stderr) = io::pipe()?;
    let newest = u64::try_from(from_stderr.as_raw_fd()).unwrap_or_default();
    if getrlimit(Resource::Nofile).current.is_some_and(|limit| newest + SPARE >= limit) {
        return Err(rustix::io::Errno::MFILE.into());
    }
    let pipes = Pipes {
        stdin: Sender::from_owned_fd(to_stdin.into())?,
        stdout: Receiver::from_owned_fd(from_stdout.into())?,
        stderr: Receiver::from_owned_fd(from_stderr.into())?,
    };
    Ok((pipes, [stdin.into(), stdout.into(), stderr.into()]))
}
