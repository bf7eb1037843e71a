//! Runs an adapter's example as its users do.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// Runs an example of the crate whose tests call this, with the URL of a database, and fails unless it ends
/// with success. `folder` is the crate's, `env!("CARGO_MANIFEST_DIR")`.
///
/// A full `cargo test` has built the example beside the tests. If it was called for one test alone, or if a
/// source of the example changed since, cargo builds the example here, with these features.
///
/// # Panics
/// When the example fails, with what it printed.
#[track_caller]
pub fn run_example(folder: &str, name: &str, features: &str, url: &str) {
    let mut command = match built(name) {
        Some(example) => Command::new(example),
        None => by_cargo(folder, name, features),
    };
    let output = command.arg(url).output().expect("the example starts");
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name} ended with {}\n{said}\n{wrong}", output.status);
}

/// The example in the folder `examples` beside that of the tests, unless it is older than its sources, which
/// cargo lists in the file beside it (`NAME.d`: the example's path, a colon, the paths of its sources).
fn built(name: &str) -> Option<PathBuf> {
    let tests = std::env::current_exe().ok()?;
    let example = tests.parent()?.with_file_name("examples").join(name);
    let built_at = modified_at(&example)?;
    let listed = std::fs::read_to_string(example.with_extension("d")).ok()?;
    let (_, sources) = listed.trim_end().split_once(": ")?;
    let sources = sources.replace("\\ ", "\0");
    let is_older = |source: &str| {
        let changed_at = modified_at(Path::new(&source.replace('\0', " ")));
        changed_at.is_some_and(|changed_at| changed_at <= built_at)
    };
    sources.split(' ').all(is_older).then_some(example)
}

fn modified_at(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}

fn by_cargo(folder: &str, name: &str, features: &str) -> Command {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command.current_dir(folder).args(["run", "--quiet", "--example", name]);
    if !features.is_empty() {
        command.args(["--features", features]);
    }
    command.arg("--");
    command
}
