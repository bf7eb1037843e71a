//! The entry point of a backend's `tests/conformance.rs`.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use gristmill_core::Capabilities;
use libtest_mimic::{Arguments, Failed, Trial};

use crate::caught::caught;
use crate::{Case, Fixture, Store, all_cases};

/// Runs every case against fresh stores of a backend, as a test program with the usual arguments (`--list`, a
/// filter, `--test-threads`), and returns its exit code.
///
/// The first line of its output is `conformance backend: NAME`. A trial is called `area::case`; one whose
/// capability the backend does not promise is shown as ignored, as `area::case [needs capability]`.
pub fn conformance<S, F>(name: &str, capabilities: Capabilities, fresh: F) -> ExitCode
where
    S: Into<Store>,
    F: Fn() -> S + Send + Sync + 'static,
{
    let arguments = Arguments::from_args();
    if !arguments.list {
        // A closed stdout is the reader's wish and no reason to stop testing.
        let _ = writeln!(std::io::stdout(), "conformance backend: {name}");
    }
    let fresh = Arc::new(fresh);
    let trials = all_cases().map(|case| trial(case, capabilities, Arc::clone(&fresh))).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial<S, F>(case: Case, capabilities: Capabilities, fresh: Arc<F>) -> Trial
where
    S: Into<Store>,
    F: Fn() -> S + Send + Sync + 'static,
{
    let run = move || run_case(&case, fresh().into()).map_err(Failed::from);
    match case.missing(capabilities) {
        Some(missing) => {
            Trial::test(format!("{} [needs {missing}]", case.path()), run).with_ignored_flag(true)
        }
        None => Trial::test(case.path(), run),
    }
}

/// Runs one case against a store and says how it failed, if it did: for tests of the suite itself.
///
/// # Errors
/// The text of the case's panic, with its place.
pub fn run_case(case: &Case, store: Store) -> Result<(), String> {
    let fixture = Fixture::new(store);
    caught(|| (case.run)(&fixture))
}
