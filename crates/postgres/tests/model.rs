//! Random histories against the reference model.

mod store;

use std::process::ExitCode;

use gristmill_testkit::model_histories;

/// Fewer than on the other backends: each step is a round trip.
const HISTORIES: u32 = 500;
const MAX_STEPS: usize = 60;

fn main() -> ExitCode {
    model_histories("postgres", HISTORIES, MAX_STEPS, store::fresh)
}
