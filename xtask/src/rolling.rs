//! `cargo xtask rolling`: the previous release and this program on one store.
//!
//! A suite of its own, since it builds the product a second time. It is run before a release, and after each
//! change of a schema or of the outbox's protocol.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::{
    arguments::{Arguments, unknown},
    commands::Verdict,
    earlier, servers, step, workspace,
};

/// The file that names the commit of the previous release.
const RELEASE: &str = "tests/system/previous-release";

/// What the command line says.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    /// The commit to be compatible with, if not that of [`RELEASE`].
    from: Option<String>,
    /// How long both work side by side.
    seconds: u64,
}

impl Options {
    fn read(arguments: &[String]) -> Result<Self> {
        let mut options = Self { from: None, seconds: 60 };
        let mut arguments = Arguments::new(arguments);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--from" => options.from = Some(arguments.value("--from")?),
                "--seconds" => options.seconds = arguments.value("--seconds")?,
                _ => return Err(unknown(&argument)),
            }
        }
        Ok(options)
    }
}

/// Builds both programs and runs the tests that compare them.
pub(crate) fn run(arguments: &[String]) -> Result<Verdict> {
    let options = Options::read(arguments)?;
    let root = workspace::root();
    let commit = match &options.from {
        Some(commit) => commit.clone(),
        None => release(&root)?,
    };
    servers::ensure()?;
    let previous = previous_program(&root, &commit)?;
    let mut tests = workspace::cargo(&root);
    tests.args(["test", "--package", "gristmill-system-tests", "--test", "rolling"]);
    tests.args(["--", "--ignored", "--nocapture", "--test-threads", "1"]);
    tests
        .env("GRISTMILL_BIN", build(&root, &workspace::target_folder(&root))?)
        .env("GRISTMILL_PREVIOUS_BIN", previous);
    tests.env("GRISTMILL_ROLLING_SECONDS", options.seconds.to_string());
    Ok(if step::succeeded(&mut tests)? { Verdict::Passed } else { Verdict::Failed })
}

/// The commit in [`RELEASE`]; lines that begin with `#` are comments.
fn release(root: &Path) -> Result<String> {
    let path = root.join(RELEASE);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let commit = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    commit.map(str::to_owned).with_context(|| format!("{RELEASE} names no commit"))
}

/// The program of `commit`: the one that is kept, or a new one.
fn previous_program(root: &Path, commit: &str) -> Result<PathBuf> {
    let source = earlier::check_out(root, "rolling", commit)?;
    let kept = source.with_extension("program");
    if !kept.exists() {
        // A folder of its own: in that of this checkout cargo takes the packages of both for the same.
        let target = source.join("target");
        let built = build(&source, &target)?;
        fs::copy(&built, &kept).with_context(|| format!("cannot write {}", kept.display()))?;
        fs::remove_dir_all(&target).with_context(|| format!("cannot remove {}", target.display()))?;
    }
    Ok(kept)
}

/// Builds the program of the checkout `source` in the folder `target`.
fn build(source: &Path, target: &Path) -> Result<PathBuf> {
    let mut build = workspace::cargo(source);
    build.args(["build", "--package", "gristmill-cli", "--target-dir"]).arg(target);
    if !step::succeeded(&mut build)? {
        bail!("the program of {} does not build", source.display());
    }
    Ok(target.join("debug").join(format!("gristmill{}", env::consts::EXE_SUFFIX)))
}
