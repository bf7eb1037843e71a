//! Runs an adapter's example as its users do.

use std::process::Command;

/// Runs an example of the crate whose tests call this, with these features and the URL of a database, and fails unless it
/// ends with success. `folder` is the crate's, `env!("CARGO_MANIFEST_DIR")`.
///
/// # Panics
/// When the example fails, with what it printed.
#[track_caller]
pub fn run_example(folder: &str, name: &str, features: &str, url: &str) {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command.current_dir(folder).args(["run", "--quiet", "--example", name]);
    if !features.is_empty() {
        command.args(["--features", features]);
    }
    let output = command.args(["--", url]).output().expect("cargo starts");
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name} ended with {}\n{said}\n{wrong}", output.status);
}
