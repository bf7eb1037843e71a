//! Builds what the tests need, runs them while reading along, and sums up.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, bail};

use super::{matrix, output::Results};
use crate::{
    arguments::{Arguments, UsageError},
    commands::Verdict,
    servers, step, workspace,
    workspace::Package,
};

/// Runs the tests of the workspace, or of the one crate that `arguments` names.
pub(crate) fn run(arguments: &[String]) -> Result<Verdict> {
    let mut arguments = Arguments::new(arguments);
    let wanted = arguments.next();
    arguments.finish()?;

    let root = workspace::root();
    let packages = workspace::packages(&root)?;
    let selected = wanted.map(|name| select(&packages, &name)).transpose()?;

    if selected.as_ref().map_or(Ok(true), |package| servers::needed_by(&root, package))? {
        servers::ensure()?;
    }
    if selected.as_ref().is_none_or(|package| package.short_name() == "system") {
        servers::ensure_languages()?;
    }
    let mut command = workspace::cargo(&root);
    // Without `--no-fail-fast` the first broken crate would hide the rest of the matrix.
    command.args(["test", "--no-fail-fast"]);
    if selected.as_ref().is_none_or(starts_the_program) {
        command.env("GRISTMILL_BIN", build_program(&root)?);
    }
    match &selected {
        Some(package) => command.args(["--package", &package.name]),
        None => command.arg("--workspace"),
    };
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start `cargo test`")?;
    let stdout = child.stdout.take().context("the tests have no stdout")?;
    let results = pass_through(BufReader::new(stdout), &mut std::io::stdout())?;
    let passed = child.wait().context("cannot wait for `cargo test`")?.success();

    print_summary(&results);
    let faults = faults(&root, &packages, selected.as_ref(), &results);
    for fault in &faults {
        println!("error: {fault}");
    }
    Ok(if passed && faults.is_empty() { Verdict::Passed } else { Verdict::Failed })
}

/// The package people mean by `name`: its folder's name, its own, or its own without `gristmill-`.
pub(super) fn select(packages: &[Package], name: &str) -> Result<Package> {
    let found = packages.iter().find(|package| {
        package.short_name() == name
            || package.name == name
            || package.name.strip_prefix("gristmill-").is_some_and(|rest| rest == name)
    });
    found.cloned().ok_or_else(|| {
        let names: Vec<&str> = packages.iter().map(Package::short_name).collect();
        UsageError(format!("no crate `{name}`; there are {}", names.join(", "))).into()
    })
}

/// True for the packages whose tests start the command-line program.
fn starts_the_program(package: &Package) -> bool {
    matches!(package.short_name(), "cli" | "system")
}

/// Builds the command-line program that the system tests start, and says where it lies.
fn build_program(root: &Path) -> Result<PathBuf> {
    let mut build = workspace::cargo(root);
    build.args(["build", "--package", "gristmill-cli"]);
    if !step::succeeded(&mut build)? {
        bail!("the command-line program does not build; repeat it with: cargo build --package gristmill-cli");
    }
    let file = format!("gristmill{}", env::consts::EXE_SUFFIX);
    Ok(workspace::target_folder(root).join("debug").join(file))
}

/// Copies every byte at once and reads the lines as they become complete.
pub(super) fn pass_through(mut from: impl BufRead, to: &mut impl Write) -> Result<Results> {
    let mut results = Results::default();
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line).context("cannot read the tests' output")? > 0 {
        to.write_all(&line).context("cannot print the tests' output")?;
        to.flush().context("cannot print the tests' output")?;
        results.read_line(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']));
        line.clear();
    }
    results.finish();
    Ok(results)
}

fn print_summary(results: &Results) {
    let matrix = matrix::draw(results);
    if !matrix.is_empty() {
        println!("\n{matrix}");
    }
    if !results.ignored.is_empty() {
        println!("Ignored outside the conformance suite:");
        for name in &results.ignored {
            println!("  {name}");
        }
    }
    for line in &results.histories {
        println!("{line}");
    }
}

/// What makes the run fail although every test that was seen passed.
fn faults(root: &Path, packages: &[Package], selected: Option<&Package>, results: &Results) -> Vec<String> {
    let mut faults: Vec<String> = results
        .unaccounted
        .iter()
        .map(|detail| format!("conformance cases are not accounted for ({detail})"))
        .collect();
    for package in packages {
        let expected = selected.is_none_or(|selected| selected == package);
        let suite = root.join(&package.folder).join("tests/conformance.rs");
        if expected && suite.is_file() && !results.backends.iter().any(|name| name == package.short_name()) {
            faults.push(format!("the conformance suite of `{}` did not run", package.short_name()));
        }
    }
    faults
}
