//! The `gristmill` command: enqueues, works, operates, examines and measures.

mod bench;
mod command;
mod config;
mod confirm;
mod connect;
mod demo;
mod exec;
mod failure;
mod intake;
mod log;
mod output;
mod progress;
mod setup;
mod stop;
mod wire;

use std::process::ExitCode;

fn main() -> ExitCode {
    let code = command::main();
    log::flush();
    code
}
