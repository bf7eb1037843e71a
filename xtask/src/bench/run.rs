//! The order of the runs: A B A B, so that a noisy minute hits both sides.

use std::path::Path;

use anyhow::Result;

use super::{
    measure::{Bench, NoMeasurement, Place, command_line},
    options::Options,
    plan::{Comparison, comparisons},
    report::{Row, Runs, table},
};
use crate::{commands::Verdict, earlier, workspace};

/// Measures every comparison and holds it against its bound.
pub(crate) fn run(arguments: &[String]) -> Result<Verdict> {
    let options = Options::read(arguments)?;
    let wanted = options.choose(comparisons())?;
    if options.list {
        list(&wanted, &options);
        return Ok(Verdict::Passed);
    }
    let root = workspace::root();
    let before = options
        .against
        .as_deref()
        .map(|commit| earlier::check_out(&root, "bench-against", commit))
        .transpose()?;
    let mut bench = Bench::new(&root, before, options.sizes);
    let mut rows = Vec::new();
    for comparison in wanted {
        let row = measure(&mut bench, comparison, &options);
        if options.json {
            println!("{}", row.json());
        }
        rows.push(row);
    }
    if !options.json {
        println!("\n{}", table(&rows));
    }
    Ok(if rows.iter().any(Row::missed) { Verdict::Failed } else { Verdict::Passed })
}

fn measure<'a>(bench: &mut Bench, comparison: &'a Comparison, options: &Options) -> Row<'a> {
    let jobs = options.sizes.jobs.unwrap_or(comparison.jobs);
    let mut row = match options.against {
        None => Row::new(comparison),
        Some(_) => Row::against_before(comparison),
    };
    for round in 1..=options.rounds {
        eprintln!("{}: round {round} of {}", comparison.name, options.rounds);
        bench.begin_round();
        for runs in row.references.iter_mut().chain([&mut row.subject]) {
            measure_once(bench, runs, jobs);
        }
    }
    row
}

/// A side that could not be measured is not tried again, and does not keep the other rows from being
/// measured.
fn measure_once(bench: &mut Bench, runs: &mut Runs, jobs: u32) {
    if runs.not_measured.is_some() {
        return;
    }
    match bench.measure(runs.side, jobs) {
        Ok(measurement) => runs.measured.push(measurement),
        Err(reason) => {
            let label = runs.side.label;
            match &reason {
                NoMeasurement::Missing(reason) => eprintln!("{label} is not measured: {reason}"),
                NoMeasurement::Failed(error) => eprintln!("{label} failed: {error:#}"),
            }
            runs.not_measured = Some(reason);
        }
    }
}

fn list(wanted: &[&Comparison], options: &Options) {
    let place = Place { folder: Path::new("DIR"), url: "URL" };
    for comparison in wanted {
        println!("{}", comparison.name);
        let references = if options.against.is_some() { &[] } else { comparison.references };
        for side in references.iter().chain([&comparison.subject]) {
            let jobs = options.sizes.jobs.unwrap_or(comparison.jobs);
            let line = command_line(*side, options.sizes, jobs, &place).join(" ");
            println!("  {} {line}", side.program.name());
        }
    }
}
