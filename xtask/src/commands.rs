//! The one table of commands, from which both the choice and the help text come.

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    arguments::{Arguments, UsageError},
    bench, ci, mutants, outbox, rolling, servers, suite, tidy,
};

/// What a command came to, when nothing kept it from running at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// Everything that was checked holds.
    Passed,
    /// The command ran and said what is wrong.
    Failed,
}

struct Command {
    name: &'static str,
    usage: &'static str,
    about: &'static str,
    run: fn(&[String]) -> Result<Verdict>,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "ci",
        usage: "ci",
        about: "Everything a change must pass: formatting, tidy, clippy and the API docs with warnings as\n\
                errors, the tests of the workspaces of the benchmark and the outbox, then `test`. Stops at the first failure and\n\
                prints the command that repeats it.",
        run: ci::run,
    },
    Command {
        name: "test",
        usage: "test [CRATE-OR-BACKEND]",
        about: "Runs the tests, doc tests included, of the workspace or of one crate (`sqlite`, `core`,\n\
                `system`, ...). Builds the command-line program first, where tests start it, and hands them\n\
                its path as GRISTMILL_BIN. Ends with the matrix of conformance cases by backend, every ignored test\n\
                with its reason, and the number of random histories compared with the model.",
        run: suite::run,
    },
    Command {
        name: "servers",
        usage: "servers",
        about: "Makes sure that the servers which tests start are installed; `test` does the same where it needs\n\
                them. On Debian and Ubuntu it installs what is missing if it may, else it says how. The packages\n\
                of the outbox's examples in Python, Go and Node.js are installed below the target folder.",
        run: servers::run,
    },
    Command {
        name: "tidy",
        usage: "tidy [--names] [--circles]",
        about: "Checks what the compiler cannot: who imports whom, file length, headers of SQL statements,\n\
                vocabulary, words of speech in prose, the same file for the same operation in each backend,\n\
                forbidden constructs, and paths of one machine. `tidy.toml` holds the word lists and the\n\
                exceptions. Counts what is no error yet; --names lists the type names that occur more than once,\n\
                --circles the files that need each other.",
        run: tidy::run,
    },
    Command {
        name: "outbox-matrix",
        usage: "outbox-matrix",
        about: "Compiles each adapter of the outbox alone: without features, with each of them, and with all. One\n\
                line each.",
        run: outbox::run,
    },
    Command {
        name: "bench",
        usage: "bench [--against COMMIT] [--full] [--peers] [--only TEXT] [--rounds N] [--jobs N] [--json] [--list]",
        about: "Lets the hand-written floors and the product take turns and prints the ratio of their medians\n\
                against the bound each must reach. --full adds the rows that take minutes, of which\n\
                --backlog N, --history N and --seconds N set the sizes; --peers adds other systems. --list\n\
                prints the command lines and runs nothing. With --against, the product of COMMIT, built in a\n\
                folder of its own, takes turns with this one instead, and every ratio should be 0.98 or better.",
        run: bench::run,
    },
    Command {
        name: "mutants",
        usage: "mutants [ROOM]... [--since COMMIT] [--shard K/N] [--list]",
        about: "Breaks one line at a time of the code that decides (rooms: core, engine, memory, sqlite, postgres)\n\
                and runs the tests that must notice; prints the survivors. --since takes changed lines only,\n\
                --shard one part of N. Takes minutes to hours; installs cargo-mutants below the target folder.",
        run: mutants::run,
    },
    Command {
        name: "rolling",
        usage: "rolling [--from COMMIT] [--seconds N]",
        about: "Runs the program of the previous release and this one side by side on one SQLite file and one\n\
                PostgreSQL database for N seconds each (60), while both are killed and started again; each job must\n\
                end once. `tests/system/previous-release` names the release; its program is built once and kept\n\
                below the target folder.",
        run: rolling::run,
    },
    Command { name: "help", usage: "help", about: "Prints this text.", run: print_help },
];

/// Runs the command that `arguments` names. Exit codes: 0 passed, 1 failed, 2 wrong usage.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let name = match arguments.first().map(String::as_str) {
        None | Some("--help" | "-h") => "help",
        Some(name) => name,
    };
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        eprintln!("error: no command `{name}`");
        eprintln!("hint: `cargo xtask help` lists the commands");
        return ExitCode::from(2);
    };
    match (command.run)(arguments.get(1..).unwrap_or_default()) {
        Ok(Verdict::Passed) => ExitCode::SUCCESS,
        Ok(Verdict::Failed) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            if error.is::<UsageError>() {
                eprintln!("usage: cargo xtask {}", command.usage);
                return ExitCode::from(2);
            }
            ExitCode::FAILURE
        }
    }
}

fn print_help(arguments: &[String]) -> Result<Verdict> {
    Arguments::new(arguments).finish()?;
    println!("Usage: cargo xtask COMMAND\n");
    for command in COMMANDS {
        println!("  {}", command.usage);
        for line in command.about.lines() {
            println!("      {line}");
        }
        println!();
    }
    Ok(Verdict::Passed)
}
