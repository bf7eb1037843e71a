//! What ends a server whose owner was killed and could end nothing any more.
//!
//! A small shell waits for the end of a pipe that only the owner holds open. The kernel closes it when the
//! owner ends, whatever ended it, so the shell then ends the server and removes its files. The other way, a
//! death signal for the child (`prctl(PR_SET_PDEATHSIG)`), fires when the *thread* that started the child
//! ends, exists on Linux only, and would leave the files behind.
//!
//! The server is ended by SIGQUIT, PostgreSQL's immediate shutdown: it takes its children with it and gives
//! its shared memory back. Should it stand still, it and its children are woken first. The number in
//! `postmaster.pid` is believed only if that process was started with our folder.

use std::{
    io::Write,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::error::ServerError;

/// `$1` is the data directory, `$2` the server's folder, `$3` the folder's lock.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
if read -r word; then exit 0; fi
file=$1/postmaster.pid
pid=$(head -n 1 "$file" 2>/dev/null)
if [ -n "$pid" ] && { [ ! -d /proc/self ] || grep -aqF -- "$1" "/proc/$pid/cmdline"; }; then
    kill -QUIT "$pid"; pkill -CONT -P "$pid"; kill -CONT "$pid"
    turns=0
    while [ -e "$file" ] && [ "$turns" -lt 200 ]; do sleep 0.05; turns=$((turns + 1)); done
    [ -e "$file" ] && kill -KILL "$pid"
fi
rm -rf -- "$1" "$2" && rm -f -- "$3"
"#;

/// The shell, until it is dismissed.
#[derive(Debug)]
pub(super) struct Watchdog(Child);

impl Watchdog {
    /// Starts to watch over the server whose data lies in `data`.
    pub(super) fn start(data: &Path, folder: &Path, lock: &Path) -> Result<Self, ServerError> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT, "watchdog"]).arg(data).arg(folder).arg(lock).current_dir("/");
        // In a group of its own, Ctrl-C at the terminal does not end it together with the tests. Holding
        // their output open would keep a reader of that output waiting.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().map_err(|source| ServerError::starting(&command, source))?;
        Ok(Self(child))
    }

    /// Sends it home, after the server was ended.
    pub(super) fn dismiss(&mut self) {
        if let Some(mut stdin) = self.0.stdin.take() {
            let _ = stdin.write_all(b"done\n");
        }
        let _ = self.0.wait();
    }
}

impl Drop for Watchdog {
    /// If the server failed to start, the watchdog was not dismissed: it cleans up now.
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
