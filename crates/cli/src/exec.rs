//! Programs as handlers.
//!
//! Each attempt is one process in a process group of its own. Args are its standard input, what it needs to know stands
//! in `GRISTMILL_…` variables, the last line of its standard output is the output if it is JSON, its standard error is
//! the job's log, its exit code the outcome (see [`verdict`]).
//!
//! On a cancel, a timeout or a shutdown the group gets SIGTERM, and SIGKILL after the grace. When the leader has ended,
//! what is left of its group is killed, and so is the whole group when the attempt's future is dropped: nothing outlives
//! an attempt. One thing it cannot do is outlive itself: programs of a worker that is SIGKILLed run on until they end,
//! and their jobs are run again when the lease has expired.

mod group;
mod heard;
mod verdict;
mod words;

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use gristmill::{Attempted, Ending, JobContext, Outcome, RunError, format_duration};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin, Command};

pub(crate) use group::kill_all;
pub(crate) use words::{find, split};

use group::Group;
use heard::Heard;

/// How long the pipes of an ended program are read on: a process that left the group may hold them open.
const LINGER: Duration = Duration::from_secs(1);

/// A program that runs one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    /// The program and its arguments; never empty.
    pub(crate) words: Vec<String>,
    /// How long an attempt may take where the job does not say.
    pub(crate) timeout: Option<Duration>,
    /// From SIGTERM to SIGKILL.
    pub(crate) grace: Duration,
}

/// Why a program was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopped {
    /// The worker said so: a cancel, the job's timeout, a lost lease, a shutdown.
    Told,
    /// The timeout of the kind passed.
    TimedOut(Duration),
}

impl Program {
    /// Runs one attempt.
    ///
    /// # Cancel safety
    /// Dropped, it kills the whole process group.
    pub(crate) async fn run(&self, context: JobContext) -> Attempted {
        match self.attempt(&context).await {
            Ok(attempted) => attempted,
            Err(error) => {
                let error = RunError::new(format!("cannot run `{}`: {error}", self.words[0]));
                Outcome::Failed { error, after: None }.into()
            }
        }
    }

    async fn attempt(&self, context: &JobContext) -> std::io::Result<Attempted> {
        let mut child = self.command(context).spawn()?;
        let group = Group::of(&child);
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let mut heard = Heard::default();
        let (status, stopped) = {
            let mut feeding = std::pin::pin!(feed(stdin, context));
            let mut listening = std::pin::pin!(heard.listen(stdout, stderr, context));
            let mut ending = std::pin::pin!(self.end_of(&mut child, &group, context));
            let (mut fed, mut listened) = (false, false);
            let ended = loop {
                tokio::select! {
                    ended = &mut ending => break ended,
                    () = &mut feeding, if !fed => fed = true,
                    () = &mut listening, if !listened => listened = true,
                }
            };
            group.kill_rest();
            if !listened {
                // What comes after that is not waited for.
                let _ = tokio::time::timeout(LINGER, listening).await;
            }
            ended
        };
        Ok(attempted(status?, stopped, heard))
    }

    fn command(&self, context: &JobContext) -> Command {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let trace = context.metadata().get("traceparent").and_then(|value| value.as_str());
        for (name, value) in [
            ("GRISTMILL_JOB_ID", Some(context.id().to_string())),
            ("GRISTMILL_KIND", Some(context.kind().to_string())),
            ("GRISTMILL_QUEUE", Some(context.queue().to_string())),
            ("GRISTMILL_ATTEMPT", Some(context.attempt().to_string())),
            ("GRISTMILL_MAX_ATTEMPTS", Some(context.max_attempts().to_string())),
            ("GRISTMILL_TOKEN", Some(context.token())),
            ("GRISTMILL_IDEMPOTENCY_KEY", Some(context.idempotency_key())),
            ("GRISTMILL_DEADLINE", self.deadline(context)),
            ("GRISTMILL_TRACEPARENT", trace.map(str::to_owned)),
        ] {
            match value {
                // The system's own limit: a variable cannot hold NUL, and metadata may not either.
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    fn deadline(&self, context: &JobContext) -> Option<String> {
        let own = || self.timeout.map(|timeout| context.started_at() + timeout);
        context.deadline().or_else(own).map(|at| at.to_string())
    }

    /// Waits for the end of the leader, and brings it about when it is to stop.
    async fn end_of(
        &self,
        child: &mut Child,
        group: &Group,
        context: &JobContext,
    ) -> (std::io::Result<ExitStatus>, Option<Stopped>) {
        let timeout = self.timeout.filter(|_| context.time_left().is_none());
        let told = context.cancellation();
        let too_long = async {
            match timeout {
                Some(timeout) => tokio::time::sleep(timeout).await,
                None => std::future::pending().await,
            }
        };
        let stopped = tokio::select! {
            status = child.wait() => return (status, None),
            () = told.cancelled() => Stopped::Told,
            () = too_long => Stopped::TimedOut(timeout.unwrap_or_default()),
        };
        group.terminate();
        if let Ok(status) = tokio::time::timeout(self.grace, child.wait()).await {
            return (status, Some(stopped));
        }
        group.kill();
        (child.wait().await, Some(stopped))
    }
}

/// What an end comes to.
fn attempted(status: ExitStatus, stopped: Option<Stopped>, heard: Heard) -> Attempted {
    match stopped {
        Some(Stopped::TimedOut(timeout)) => {
            let message = heard.told(&format!("timed out after {}", format_duration(timeout)));
            let outcome = Outcome::Failed { error: RunError::new(message), after: None };
            Attempted { outcome, ending: Ending::Timeout }
        }
        Some(Stopped::Told) | None => verdict::of(status, heard).into(),
    }
}

/// Writes the args. A program that does not read them is no error.
async fn feed(stdin: Option<ChildStdin>, context: &JobContext) {
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(context.args().as_bytes()).await;
        let _ = stdin.shutdown().await;
    }
}
