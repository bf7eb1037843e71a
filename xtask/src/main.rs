//! The project's own commands: `cargo xtask help` lists them.
//!
//! Nothing here ships to users. The crate depends on no crate of the product, so its checks run even while
//! that does not compile.
#![expect(clippy::print_stdout, reason = "what these commands find out is meant for stdout")]

use std::process::ExitCode;

mod arguments;
mod bench;
mod ci;
mod commands;
mod earlier;
mod mutants;
mod outbox;
mod rolling;
mod servers;
mod step;
mod suite;
mod tidy;
mod workspace;

fn main() -> ExitCode {
    commands::run(&std::env::args().skip(1).collect::<Vec<String>>())
}
