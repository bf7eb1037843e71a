//! `cargo xtask ci`: what a change must pass, in the order in which faults are cheapest to find.

use std::time::Duration;

use anyhow::Result;

use crate::{
    arguments::Arguments,
    commands::Verdict,
    step::{Step, Stopwatch},
    workspace,
};

const STEPS: &[Step] = &[
    step("fmt", &["fmt", "--all", "--check"]),
    step("fmt bench", &["fmt", "--manifest-path", "bench/Cargo.toml", "--all", "--check"]),
    step("fmt outbox", &["fmt", "--manifest-path", OUTBOX, "--all", "--check"]),
    step("fmt outbox, sqlx 0.8", &["fmt", "--manifest-path", OUTBOX_SQLX_0_8, "--check"]),
    step("tidy", &["xtask", "tidy"]),
    step("clippy", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    step("check cli without features", &["check", "-p", "gristmill-cli", "--no-default-features"]),
    step(
        "clippy bench",
        &[
            "clippy",
            "--manifest-path",
            "bench/Cargo.toml",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
    ),
    step("clippy outbox", &clippy(OUTBOX)),
    step("clippy outbox, sqlx 0.8", &clippy(OUTBOX_SQLX_0_8)),
    Step {
        name: "doc",
        arguments: &["doc", "--workspace", "--no-deps"],
        environment: &[("RUSTDOCFLAGS", "-D warnings")],
    },
    step("servers", &["xtask", "servers"]),
    step("test bench", &["test", "--manifest-path", "bench/Cargo.toml", "--workspace"]),
    step("matrix of the outbox", &["xtask", "outbox-matrix"]),
    step("test outbox", &["test", "--manifest-path", OUTBOX, "--workspace", "--all-features"]),
    step("test outbox, sqlx 0.8", &["test", "--manifest-path", OUTBOX_SQLX_0_8, "--all-features"]),
    step("test", &["xtask", "test"]),
];

/// The workspaces of the outbox's adapters.
const OUTBOX: &str = "outbox/Cargo.toml";
const OUTBOX_SQLX_0_8: &str = "outbox/sqlx-0-8/Cargo.toml";

/// Clippy with warnings as errors, on everything a workspace of the outbox has.
const fn clippy(manifest: &'static str) -> [&'static str; 9] {
    [
        "clippy",
        "--manifest-path",
        manifest,
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "-D",
        "warnings",
    ]
}

const fn step(name: &'static str, arguments: &'static [&'static str]) -> Step {
    Step { name, arguments, environment: &[] }
}

/// Runs the steps one after the other and stops at the first that fails.
pub(crate) fn run(arguments: &[String]) -> Result<Verdict> {
    Arguments::new(arguments).finish()?;
    let root = workspace::root();
    let mut times: Vec<(&str, Duration)> = Vec::new();
    for (index, step) in STEPS.iter().enumerate() {
        println!("== {} ({} of {}): {}", step.name, index + 1, STEPS.len(), step.command_line());
        let stopwatch = Stopwatch::start();
        let passed = step.run(&root)?;
        times.push((step.name, stopwatch.elapsed()));
        if !passed {
            println!("== {} failed after {:.1} s", step.name, stopwatch.elapsed().as_secs_f64());
            println!("hint: repeat it with: {}", step.command_line());
            return Ok(Verdict::Failed);
        }
        println!("== {} passed in {:.1} s", step.name, stopwatch.elapsed().as_secs_f64());
    }
    let times: Vec<String> =
        times.iter().map(|(name, time)| format!("{name} {:.1} s", time.as_secs_f64())).collect();
    println!("== all {} steps passed: {}", STEPS.len(), times.join(", "));
    Ok(Verdict::Passed)
}
