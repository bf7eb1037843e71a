//! The contract, case by case.

mod store;

use std::process::ExitCode;

use gristmill_core::{Capabilities, Capability};
use gristmill_testkit::conformance;

const PROMISES: Capabilities = Capabilities::of(&[
    Capability::Durable,
    Capability::Shared,
    Capability::Notifications,
    Capability::Transactions,
]);

fn main() -> ExitCode {
    conformance("postgres", PROMISES, store::fresh)
}
