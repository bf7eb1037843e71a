//! Workers as processes of their own, to be killed.

use std::process::Stdio;
use std::time::Duration;

use gristmill::{Client, Worker};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

use super::job::{Bench, QUEUE, count};
use super::options::Options;
use crate::failure::{Failure, Result};

/// A killed worker's jobs are back this much later.
pub(super) const LEASE: Duration = Duration::from_secs(2);

/// Starts a worker process on the store with this URL. It ends with its standard input, that is with us.
pub(super) fn spawn(url: &str, options: &Options) -> Result<Child> {
    let program =
        std::env::current_exe().map_err(|error| Failure::io("this program cannot be found", &error))?;
    let mut command = Command::new(program);
    // By the environment: every user can read arguments, and a URL may hold a password.
    command.args(["bench", "--child"]).env("GRISTMILL_DB", url);
    for (flag, value) in [
        ("--slots", options.slots),
        ("--batch", options.batch),
        ("--run-ms", options.run_ms),
        ("--fail-rate", options.fail_rate),
    ] {
        command.args([flag, &value.to_string()]);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::null()).kill_on_drop(true);
    command.spawn().map_err(|error| Failure::io("a worker process cannot be started", &error))
}

/// Is such a process.
pub(crate) async fn be_one(client: Client, options: &Options) -> Result<()> {
    let worker = Worker::builder(client)
        .state(Bench::new(options, false))
        .queue(QUEUE, options.slots as usize)
        .fetch_batch(options.batch as usize)
        .lease(LEASE)
        .poll_interval(Duration::from_millis(100))
        .handle(count)
        .build()?;
    let parent_gone = async {
        let mut rest = Vec::new();
        // However the pipe ends, the process that held it is gone.
        let _ = tokio::io::stdin().read_to_end(&mut rest).await;
    };
    worker.run_until(parent_gone).await?;
    Ok(())
}
