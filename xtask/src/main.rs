//! The project's own commands: `cargo xtask help` lists them.
//!
//! Nothing here ships to users. The crate depends on no other crate of the workspace, so its checks run even
//! while the product does not compile.
#![expect(clippy::print_stdout, reason = "what these commands find out is meant for stdout")]

use std::process::ExitCode;

mod arguments;
mod bench;
mod ci;
mod commands;
mod step;
mod suite;
mod tidy;
mod workspace;

fn main() -> ExitCode {
    commands::run(&std::env::args().skip(1).collect::<Vec<String>>())
}
