//! Programs as handlers.
//!
//! Each attempt is one program in a process group of its own, started by a [guard]. Args are its standard
//! input, what it needs to know stands in `GRISTMILL_…` variables, the last line of its standard output is
//! the output if it is JSON, its standard error is the job's log, its exit code the outcome (see
//! [`verdict`]).
//!
//! On a cancel, a timeout or a shutdown the group gets SIGTERM, and SIGKILL after the grace. When the program
//! has ended, its guard kills everything it has started and that still runs, in whatever group or session,
//! and waits for it: nothing outlives an attempt. The same happens when the attempt's future is dropped, and
//! when the worker dies, by whatever signal.

mod guard;
mod guards;
mod heard;
mod kin;
mod pipes;
mod starts;
mod verdict;
mod words;

use std::fmt;
use std::io;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use gristmill::{Attempted, Ending, JobContext, Outcome, RunError, format_duration};
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe::Sender;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

pub(crate) use guard::{WORD as GUARD_WORD, main as be_a_guard};
pub(crate) use words::{find, split};

use crate::failure::words_of;
use guard::{Ended, Guard, Unstarted};
use guards::Guards;
use heard::Heard;
use pipes::{Pipes, pipes};
use starts::{Stage, Starts};

/// How long the pipes of an ended program are read on: a process that cannot be killed may hold them open.
const LINGER: Duration = Duration::from_secs(1);
/// How long an attempt waits, at most, for what ended programs set free, and how often it looks.
const SCARCITY: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(100);

/// A program that runs one kind.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// The program and its arguments; never empty.
    pub(crate) words: Vec<String>,
    /// How long an attempt may take where the job does not say.
    pub(crate) timeout: Option<Duration>,
    /// From SIGTERM to SIGKILL.
    pub(crate) grace: Duration,
    /// Variables of the worker's environment that the program does not get.
    pub(crate) without: Vec<String>,
}

/// Why a program was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopped {
    /// The worker said so: a cancel, the job's timeout, a lost lease, a shutdown.
    Told,
    /// The timeout of the kind passed.
    TimedOut(Duration),
}

/// Runs programs, with what they share.
#[derive(Debug)]
pub(crate) struct Runner {
    guards: Arc<Guards>,
    starts: Arc<Starts>,
    /// An attempt has ended, so something is free again.
    freed: Notify,
}

impl Runner {
    /// Takes care of every child of this process from now on.
    pub(crate) fn start() -> crate::failure::Result<Self> {
        Ok(Self { guards: Guards::start()?, starts: Arc::default(), freed: Notify::new() })
    }

    /// Kills every program and what it started, and waits for their end.
    pub(crate) async fn leave(&self) {
        self.guards.leave().await;
        self.starts.leave();
    }

    /// Runs one attempt.
    ///
    /// # Cancel safety
    /// Dropped, it kills the program and all that it started.
    pub(crate) async fn run(&self, program: &Program, context: JobContext) -> Attempted {
        let attempted = match self.start_program(program, &context).await {
            Ok((guard, pipes)) => self.attend(program, guard, pipes, &context).await,
            Err(error) => self.give_back(program, error.stage(), &error.to_string(), &context).await,
        };
        self.freed.notify_one();
        attempted
    }

    /// The program cannot be started, for which the job is not to blame.
    async fn give_back(&self, program: &Program, stage: Stage, why: &str, context: &JobContext) -> Attempted {
        let name = &program.words[0];
        let pauses = self.starts.failed(context.kind().as_str(), name, stage, why);
        let _ = timeout(pauses.hold, context.cancellation().cancelled()).await;
        Outcome::Deferred { after: pauses.job, reason: format!("cannot start `{name}`: {why}") }.into()
    }

    /// Starts the program; where ended programs set free what it lacks, this waits for a while.
    async fn start_program(
        &self,
        program: &Program,
        context: &JobContext,
    ) -> Result<(Guard, Pipes), NotStarted> {
        let patience = context.time_left().map_or(SCARCITY, |left| SCARCITY.min(left / 2));
        let until = Instant::now() + patience;
        let stop = context.cancellation();
        loop {
            let error = match self.try_start(program, context).await {
                Ok(started) => {
                    self.starts.started(context.kind().as_str());
                    return Ok(started);
                }
                Err(error) => error,
            };
            let stage = error.stage();
            if stage != Stage::Scarcity || Instant::now() >= until || stop.is_cancelled() {
                return Err(error);
            }
            self.starts.failed(context.kind().as_str(), &program.words[0], stage, &error.to_string());
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.freed.notified() => {}
                () = tokio::time::sleep(LOOK.mul_f64(0.5 + fastrand::f64())) => {}
            }
        }
    }

    async fn try_start(&self, program: &Program, context: &JobContext) -> Result<(Guard, Pipes), NotStarted> {
        let (pipes, files) = pipes().map_err(NotStarted::Program)?;
        let mut guard = self.guards.take().map_err(NotStarted::Guard)?;
        match guard.start(&program.words, program.variables(context), files).await {
            Ok(()) => Ok((guard, pipes)),
            Err(Unstarted::Program(error)) => {
                self.guards.put_back(guard);
                Err(NotStarted::Program(error))
            }
            Err(Unstarted::Guard(error)) => {
                let message = format!("the process that starts programs has ended: {}", words_of(&error));
                Err(NotStarted::Program(io::Error::other(message)))
            }
        }
    }

    /// Feeds a program and listens to it until it has ended, with all it started.
    async fn attend(
        &self,
        program: &Program,
        mut guard: Guard,
        pipes: Pipes,
        context: &JobContext,
    ) -> Attempted {
        let mut heard = Heard::default();
        let started = Instant::now();
        let ran_for;
        let (ended, stopped) = {
            let mut feeding = std::pin::pin!(feed(pipes.stdin, context));
            let mut listening = std::pin::pin!(heard.listen(pipes.stdout, pipes.stderr, context));
            let mut ending = std::pin::pin!(program.end_of(&mut guard, context));
            let (mut fed, mut listened) = (false, false);
            let ended = loop {
                tokio::select! {
                    ended = &mut ending => break ended,
                    () = &mut feeding, if !fed => fed = true,
                    () = &mut listening, if !listened => listened = true,
                }
            };
            ran_for = started.elapsed();
            if !listened {
                // What comes after that is not waited for.
                let _ = timeout(LINGER, listening).await;
            }
            ended
        };
        let status = match ended {
            Ok(Ended { status, left: 0 }) => {
                self.guards.put_back(guard);
                status
            }
            Ok(Ended { status, left }) => {
                tracing::warn!(
                    name: "processes_left", target: "gristmill::exec", job = %context.id(), left,
                    "processes that a program has started cannot be killed, such as those of another user"
                );
                status
            }
            Err(_) => {
                // The program itself may have killed its guard, so the attempt counts.
                let error = RunError::new(heard.told("the process that guards the program was killed"));
                return Outcome::Failed { error, after: None }.into();
            }
        };
        if let (Some(code), None) = (verdict::not_started(status, ran_for, &heard), stopped) {
            let why = heard.told(&format!("exit code {code}"));
            return self.give_back(program, Stage::Shell, &why, context).await;
        }
        self.starts.ran(context.kind().as_str());
        attempted(status, stopped, heard)
    }
}

/// Why a program was not started.
#[derive(Debug)]
enum NotStarted {
    /// The system refused it, or what it needs.
    Program(io::Error),
    /// The system refused its guard, before anything was known of the program.
    Guard(io::Error),
}

impl NotStarted {
    fn stage(&self) -> Stage {
        let (Self::Program(error) | Self::Guard(error)) = self;
        Stage::of(error)
    }
}

impl fmt::Display for NotStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program(error) => f.write_str(&words_of(error)),
            Self::Guard(error) => {
                write!(f, "the process that starts programs cannot be started: {}", words_of(error))
            }
        }
    }
}

impl Program {
    /// What the program gets in its environment, and what it does not.
    fn variables(&self, context: &JobContext) -> Vec<(String, Option<String>)> {
        let trace = context.metadata().get("traceparent").and_then(|value| value.as_str());
        // A longer one is none, and a variable that the system refuses would keep the job from ever starting.
        let trace = trace.filter(|text| text.len() <= MAX_TRACE && !text.contains(char::is_control));
        let removed = self.without.iter().map(|name| (name.clone(), None));
        let given = [
            ("GRISTMILL_JOB_ID", Some(context.id().to_string())),
            ("GRISTMILL_KIND", Some(context.kind().to_string())),
            ("GRISTMILL_QUEUE", Some(context.queue().to_string())),
            ("GRISTMILL_ATTEMPT", Some(context.attempt().to_string())),
            ("GRISTMILL_MAX_ATTEMPTS", Some(context.max_attempts().to_string())),
            ("GRISTMILL_TOKEN", Some(context.token())),
            ("GRISTMILL_IDEMPOTENCY_KEY", Some(context.idempotency_key())),
            ("GRISTMILL_DEADLINE", self.deadline(context)),
            ("GRISTMILL_TRACEPARENT", trace.map(str::to_owned)),
        ];
        removed.chain(given.map(|(name, value)| (name.to_owned(), value))).collect()
    }

    fn deadline(&self, context: &JobContext) -> Option<String> {
        let own = || self.timeout.map(|timeout| context.started_at() + timeout);
        context.deadline().or_else(own).map(|at| at.to_string())
    }

    /// Waits for the end of the program, and brings it about when it is to stop.
    async fn end_of(&self, guard: &mut Guard, context: &JobContext) -> (io::Result<Ended>, Option<Stopped>) {
        let longest = self.timeout.filter(|_| context.time_left().is_none());
        let told = context.cancellation();
        let too_long = async {
            match longest {
                Some(longest) => tokio::time::sleep(longest).await,
                None => std::future::pending().await,
            }
        };
        let stopped = tokio::select! {
            ended = guard.ended() => return (ended, None),
            () = told.cancelled() => Stopped::Told,
            () = too_long => Stopped::TimedOut(longest.unwrap_or_default()),
        };
        guard.terminate().await;
        if let Ok(ended) = timeout(self.grace, guard.ended()).await {
            return (ended, Some(stopped));
        }
        guard.kill().await;
        (guard.ended().await, Some(stopped))
    }
}

/// The longest `traceparent` that is passed on.
const MAX_TRACE: usize = 512;

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
async fn feed(mut stdin: Sender, context: &JobContext) {
    let _ = stdin.write_all(context.args().as_bytes()).await;
}
