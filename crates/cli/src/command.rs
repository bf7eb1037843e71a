//! The one table of commands: help and completions are generated from it.

mod completions;
mod doctor;
mod enqueue;
mod jobs;
mod migrate;
mod queues;
mod stats;
mod work;
mod workers;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::failure::{Failure, Result};
use crate::output::{say, say_failure};
use crate::setup::{Global, Setup};

/// Background jobs on one file or in memory: enqueue them, work them, see what became of them.
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
stdout is data, stderr is talk. Flags win over the environment, and that over gristmill.toml.";

#[derive(Debug, Subcommand)]
enum Command {
    Enqueue(enqueue::Enqueue),
    Work(work::Work),
    Jobs(jobs::Jobs),
    Queues(queues::Queues),
    Workers(workers::Workers),
    Stats(stats::Stats),
    Migrate(migrate::Migrate),
    Doctor(doctor::Doctor),
    Completions(completions::Completions),
}

/// Reads the command line, runs the command, says what went wrong.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            // Help for a reader that has gone away is no error.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say_failure(&failure);
            failure.exit_code()
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    let Cli { global, command } = cli;
    if let Command::Completions(command) = command {
        return command.run(&mut Cli::command());
    }
    let setup = Setup::new(global)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::io("the runtime cannot be started", &error))?;
    let result = runtime.block_on(start(command, setup));
    // A blocking handler that does not end must not keep a process that was told to leave.
    runtime.shutdown_background();
    result
}

async fn start(command: Command, setup: Setup) -> Result<()> {
    match command {
        Command::Enqueue(command) => Box::pin(command.run(&setup)).await,
        Command::Work(command) => Box::pin(command.run(setup)).await,
        Command::Jobs(command) => Box::pin(command.run(&setup)).await,
        Command::Queues(command) => Box::pin(command.run(&setup)).await,
        Command::Workers(command) => Box::pin(command.run(&setup)).await,
        Command::Stats(command) => Box::pin(command.run(&setup)).await,
        Command::Migrate(command) => Box::pin(command.run(&setup)).await,
        Command::Doctor(command) => Box::pin(command.run(&setup)).await,
        Command::Completions(_) => {
            say("completions need no store");
            Ok(())
        }
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
