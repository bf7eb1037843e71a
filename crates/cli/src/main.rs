//! The `gristmill` command: enqueues, works, operates, examines and measures.

#[cfg(feature = "bench")]
mod bench;
mod command;
mod config;
mod confirm;
mod connect;
mod demo;
mod exec;
mod failure;
mod intake;
mod known;
mod log;
mod output;
mod progress;
mod setup;
mod stop;
mod trust;
mod wire;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Not a command: it starts and ends programs for a worker, and is not made for people.
    if std::env::args_os().nth(1).is_some_and(|word| word == exec::GUARD_WORD) {
        return exec::be_a_guard();
    }
    let code = command::main();
    log::flush();
    code
}
