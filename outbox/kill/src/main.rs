//! A client of the kill test; see the library of this crate.

use std::env;

use gristmill_outbox_kill::{Settings, run};

fn main() -> anyhow::Result<()> {
    run(Settings::from_arguments(env::args().skip(1))?)
}
