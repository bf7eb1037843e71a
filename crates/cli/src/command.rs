//! The one table of commands: help and completions are generated from it.

#[cfg(feature = "bench")]
mod bench;
mod completions;
mod demo;
mod doctor;
mod enqueue;
mod jobs;
mod migrate;
mod queues;
mod registers;
mod schedules;
mod stats;
mod work;
mod workers;

use std::process::ExitCode;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::failure::{Failure, Result};
use crate::output::{say, say_failure, without_arguments};
use crate::setup::{Global, Setup, start_log};

/// Background jobs in PostgreSQL, in one file or in memory: enqueue them, work them, see what became of them.
#[derive(Debug, Parser)]
#[command(name = "gristmill", version, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  gristmill demo                                       checksums every file below the working directory
  gristmill enqueue checksum '{\"path\":\"a.txt\"}'        prints the job's id
  gristmill work --exec checksum=./checksum.sh --drain
  gristmill jobs list --state discarded --json

Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 refused, 5 store unreachable.
Data goes to stdout, messages go to stderr.
Flags win over the environment, and that over gristmill.toml.
The variables of libpq (PGHOST, PGPASSWORD and others) and its files are not read.";

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    #[command(flatten)]
    Store(Box<StoreCommand>),
    Schedules(schedules::Schedules),
    Completions(completions::Completions),
}

/// The commands that work on the store the options name.
#[derive(Debug, Subcommand)]
enum StoreCommand {
    Enqueue(enqueue::Enqueue),
    Work(work::Work),
    Jobs(jobs::Jobs),
    Queues(queues::Queues),
    Workers(workers::Workers),
    Stats(stats::Stats),
    Registers(registers::Registers),
    Migrate(migrate::Migrate),
    #[cfg(feature = "bench")]
    Bench(bench::Bench),
    Doctor(doctor::Doctor),
}

impl StoreCommand {
    /// What its log has unless `--log` says otherwise.
    fn log(&self) -> &'static str {
        match self {
            #[cfg(feature = "bench")]
            Self::Bench(_) => WITHOUT_JOBS,
            _ => "warn",
        }
    }
}

/// Reads the command line, runs the command, says what went wrong.
pub(crate) fn main() -> ExitCode {
    let parsed = Cli::command().try_get_matches().and_then(|matches| {
        let flagged = matches.value_source("db") == Some(ValueSource::CommandLine);
        Cli::from_arg_matches(&matches).map(|cli| (cli, flagged))
    });
    let (cli, flagged) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            print_usage(&error);
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    match run(cli, flagged) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say_failure(&failure);
            failure.exit_code()
        }
    }
}

/// Prints help or what is wrong with the command line. Help for a reader that has gone away is no error.
fn print_usage(error: &clap::Error) {
    let text = error.render().to_string();
    let shown = without_arguments(&text);
    if !error.use_stderr() || shown == text {
        let _ = error.print();
    } else {
        say(shown.trim_end());
    }
}

/// The log of commands whose jobs fail on purpose; what became of them stands in the table at the end.
const WITHOUT_JOBS: &str = "warn,gristmill::job=off";

/// `flagged` says that the store was named on the command line.
fn run(cli: Cli, flagged: bool) -> Result<()> {
    let Cli { global, command } = cli;
    match command {
        Command::Completions(command) => command.run(&mut Cli::command()),
        Command::Schedules(command) => command.run(),
        Command::Demo(_) if flagged => Err(Failure::usage("`demo` makes a store of its own")
            .hint("leave --db out; --keep leaves that store behind")),
        Command::Demo(command) => {
            start_log(global.log.as_deref().unwrap_or(WITHOUT_JOBS))?;
            within_runtime(command.run())
        }
        Command::Store(command) => {
            let setup = Setup::new(&global, flagged, command.log())?;
            within_runtime(start(*command, setup))
        }
    }
}

/// How long a command that is done waits for what its tasks have left to do.
const LAST_TASKS: Duration = Duration::from_millis(300);

fn within_runtime(command: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::io("the runtime cannot be started", &error))?;
    let result = runtime.block_on(Box::pin(command));
    // The runtime's tasks end, and send the notifications that are left. A blocking handler that does not end
    // must not keep a stopping process alive.
    runtime.shutdown_timeout(LAST_TASKS);
    result
}

async fn start(command: StoreCommand, setup: Setup) -> Result<()> {
    match command {
        StoreCommand::Enqueue(command) => Box::pin(command.run(&setup)).await,
        StoreCommand::Work(command) => Box::pin(command.run(setup)).await,
        StoreCommand::Jobs(command) => Box::pin(command.run(&setup)).await,
        StoreCommand::Queues(command) => Box::pin(command.run(&setup)).await,
        StoreCommand::Workers(command) => Box::pin(command.run(&setup)).await,
        StoreCommand::Stats(command) => Box::pin(command.run(&setup)).await,
        StoreCommand::Registers(command) => Box::pin(command.run(&setup)).await,
        StoreCommand::Migrate(command) => Box::pin(command.run(&setup)).await,
        #[cfg(feature = "bench")]
        StoreCommand::Bench(command) => Box::pin(command.run(&setup)).await,
        StoreCommand::Doctor(command) => Box::pin(command.run(&setup)).await,
    }
}

/// A number of things to list.
fn at_least_one(text: &str) -> std::result::Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("write a whole number from 1".to_owned()),
        Ok(limit) => Ok(limit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        fn check(command: &clap::Command) {
            let leaf = command.get_subcommands().next().is_none();
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(!leaf || after.contains("Example"), "`{}` shows no example", command.get_name());
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}
