//! `work`: runs jobs with programs as handlers.

mod programs;
mod summary;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use gristmill::{Client, JobContext, JobError, Memory, Worker, WorkerBuilder, parse_duration};

use crate::config::WorkConfig;
use crate::connect::Absent;
use crate::exec::Runner;
use crate::failure::{Failure, Result};
use crate::output::{say, say_waiting};
use crate::setup::Setup;
use crate::stop::Stop;

/// Run jobs with programs as handlers
///
/// A program gets the args as JSON on its standard input, and GRISTMILL_JOB_ID, _KIND, _QUEUE, _ATTEMPT,
/// _MAX_ATTEMPTS, _TOKEN, _IDEMPOTENCY_KEY, _DEADLINE and _TRACEPARENT in its environment. The last line of
/// its standard output is the job's output if it is JSON; the lines of its standard error are the job's log.
///
/// Exit code 0 completes the job, 75 asks for a retry, 65 discards it, 77 cancels it, 69 runs it again 30 s
/// later without spending an attempt; any other one fails the attempt. On a cancel or a timeout the process
/// group gets SIGTERM, and SIGKILL after the grace.
///
/// A program that the system cannot start gives the job back without an attempt spent: the job runs again
/// some seconds later. So do the exit codes 126 and 127, with which shells report a program that cannot be
/// started, within the first second and if nothing was written to the standard output; else they fail the
/// attempt.
///
/// Programs inherit the environment of the worker, GRISTMILL_DB with its password included, so that they can
/// enqueue; --without-env keeps a variable from them.
///
/// Whatever a program has started ends with it, and everything ends with the worker, by whatever signal that
/// dies.
///
/// SIGTERM, SIGINT and SIGHUP stop gently: nothing new is fetched, what runs has the grace to end. A second
/// one stops at once.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Work {
    /// Run jobs of this kind with this command; split into words as a shell would, but run without one
    #[arg(long, value_name = "KIND=CMD", value_parser = kind_command)]
    exec: Vec<(String, String)>,
    /// Run jobs of this queue, so many at once; without any the queue `default`, 10 at once
    #[arg(long, value_name = "NAME=SLOTS", value_parser = queue_slots)]
    queue: Vec<(String, usize)>,
    /// Run so many jobs at once at most over all queues
    #[arg(long, value_name = "N")]
    slots: Option<usize>,
    /// How long a lease holds without a heartbeat: after a crash jobs come back this much later [default:
    /// 30s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, allow_hyphen_values = true)]
    lease: Option<Duration>,
    /// How long running programs may go on after a stop, and from SIGTERM to SIGKILL [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, allow_hyphen_values = true)]
    grace: Option<Duration>,
    /// How often an idle worker looks for jobs that no notification announced [default: 5s, or 1s where none
    /// arrive]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, allow_hyphen_values = true)]
    poll_interval: Option<Duration>,
    /// Keep this variable of the environment from the programs
    #[arg(long, value_name = "NAME")]
    without_env: Vec<String>,
    /// End with code 0 when nothing is left that this worker can run; jobs that are due later, run elsewhere
    /// or wait in a paused queue are waited for, those of kinds without a command here are named and left
    #[arg(long)]
    drain: bool,
    /// End with code 5 if the store cannot be reached at the start, instead of waiting for it
    #[arg(long)]
    no_wait: bool,
}

const EXAMPLES: &str = "\
Examples:
  gristmill work --exec checksum=./checksum.sh --queue default=4
  gristmill work --exec \"report=sh -c 'jq .path | xargs wc -l'\" --drain
  gristmill work --config workers.toml --lease 10s --grace 5s

Kinds, queues and numbers may stand in gristmill.toml, or the file of --config, instead:
  [work]
  slots = 8
  lease = \"30s\"
  poll_interval = \"5s\"
  [work.queues]
  mail = 4
  [work.handlers.checksum]
  exec = \"./checksum.sh --fast\"      # relative to the file; or a list of words
  timeout = \"30s\"

A gristmill.toml that is found, and not named by --config, must belong to this user or to root, and others may not
write to it.

Exit code 1 says that the end of a run could not be stored, or came too late: such jobs run again;
or that --drain was stopped before the queues were empty.";

/// What the killing of a program takes at most.
const KILL: Duration = Duration::from_millis(500);
/// How long a start waits before it tries to reach the store again.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often a start that waits names the same reason.
const TOLD_AGAIN: Duration = Duration::from_secs(60);
/// Grace of programs after SIGTERM by default.
const GRACE: Duration = Duration::from_secs(30);

impl Work {
    pub(crate) async fn run(self, mut setup: Setup) -> Result<()> {
        let stop = Stop::listen()?;
        let programs = self.programs(&setup)?;
        // Everything that can be wrong is found before the store is opened or made.
        let checker = self.settings(Client::new(Arc::new(Memory::new())), &setup.work);
        let nothing = async |_: JobContext| Ok::<_, JobError>(());
        drop(
            programs
                .keys()
                .fold(checker, |checker, kind| checker.handle_raw(kind.clone(), nothing))
                .build()?,
        );
        if let Some(lease) = self.lease.or(setup.work.lease) {
            setup.url = setup.url.for_lease(lease);
        }
        let Some(client) = self.connect(&setup, &stop).await? else {
            say("ended: the store was not reached");
            return if self.drain { Err(summary::not_drained()) } else { Ok(()) };
        };
        let mut builder = self.settings(client, &setup.work);
        let kinds: Vec<String> = programs.keys().cloned().collect();
        let runner = Arc::new(Runner::start()?);
        for (kind, program) in programs {
            let (program, runner) = (Arc::new(program), runner.clone());
            builder = builder.handle_raw(kind, move |context: JobContext| {
                let (program, runner) = (program.clone(), runner.clone());
                async move { runner.run(&program, context).await }
            });
        }
        let worker = builder.build()?;
        let from = match &setup.file {
            Some(file) if self.runs_programs_of(&setup.work) => {
                format!(", with programs of {}", file.display())
            }
            _ => String::new(),
        };
        say(format_args!("working on {} for {}{from}", setup.url.shown(), kinds.join(", ")));
        let ended = tokio::select! {
            ended = worker.run_until(stop.gently.cancelled()) => {
                ended.map_err(Failure::from).and_then(|report| summary::conclude(&report, self.drain && stop.gently.is_cancelled()))
            }
            () = stop.at_once.cancelled() => Err(Failure::failed("stopped at once")
                .hint("jobs that were running come back when the lease of this worker has expired")),
        };
        runner.leave().await;
        ended
    }

    /// The worker but for its programs.
    fn settings(&self, client: Client, file: &WorkConfig) -> WorkerBuilder<()> {
        let mut builder = Worker::builder(client).on_wait(|what| say(format_args!("{what}")));
        for (name, slots) in self.queues(file) {
            builder = builder.queue(name, slots);
        }
        if let Some(slots) = self.slots.or(file.slots) {
            builder = builder.slots(slots);
        }
        if let Some(lease) = self.lease.or(file.lease) {
            builder = builder.lease(lease);
        }
        if let Some(interval) = self.poll_interval.or(file.poll_interval) {
            builder = builder.poll_interval(interval);
        }
        let grace = self.grace(file);
        // A program that has to be killed after the grace still says how it ended.
        builder = builder.grace(grace).cancel_grace(grace + KILL);
        if self.drain { builder.drain() } else { builder }
    }

    /// Connects to the store, which may not be up yet. `None` when the wait is stopped.
    async fn connect(&self, setup: &Setup, stop: &Stop) -> Result<Option<Client>> {
        let mut pause = FIRST_PAUSE;
        let mut told: Option<(String, Instant)> = None;
        loop {
            let answer = tokio::select! {
                () = stop.gently.cancelled() => return Ok(None),
                answer = setup.connect(Absent::Create) => answer,
            };
            let failure = match answer {
                Err(failure) if failure.may_pass() && !self.no_wait => failure,
                answer => return answer.map(Some),
            };
            let why = failure.to_string();
            if told.as_ref().is_none_or(|(last, at)| *last != why || at.elapsed() >= TOLD_AGAIN) {
                say_waiting(&failure);
                told = Some((why, Instant::now()));
            }
            tokio::select! {
                () = stop.gently.cancelled() => return Ok(None),
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
            }
        }
    }

    /// Flags win over the file, queue by queue.
    fn queues(&self, file: &WorkConfig) -> BTreeMap<String, usize> {
        if self.queue.is_empty() { file.queues.clone() } else { self.queue.iter().cloned().collect() }
    }

    fn grace(&self, file: &WorkConfig) -> Duration {
        self.grace.or(file.grace).unwrap_or(GRACE)
    }
}

fn kind_command(text: &str) -> std::result::Result<(String, String), String> {
    let (kind, command) = text.split_once('=').ok_or("write it as KIND=CMD")?;
    Ok((kind.to_owned(), command.to_owned()))
}

fn queue_slots(text: &str) -> std::result::Result<(String, usize), String> {
    let (name, slots) = text.split_once('=').ok_or("write it as NAME=SLOTS")?;
    let slots = slots.parse().map_err(|_| format!("`{slots}` is not a number of slots"))?;
    Ok((name.to_owned(), slots))
}
