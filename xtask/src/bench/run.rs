//! The order of the runs: A B A B, so that a noisy minute hits both sides.

use anyhow::Result;

use super::{
    measure::{Bench, command_line},
    plan::{COMPARISONS, Comparison, Program},
    report::{Row, table},
};
use crate::{
    arguments::{Arguments, UsageError, unknown},
    commands::Verdict,
    workspace,
};

struct Options {
    rounds: u32,
    jobs: Option<u32>,
    only: Option<String>,
    json: bool,
    list: bool,
}

/// Measures every comparison and holds it against its bound.
pub(crate) fn run(arguments: &[String]) -> Result<Verdict> {
    let options = options(arguments)?;
    let wanted: Vec<&Comparison> = COMPARISONS
        .iter()
        .filter(|comparison| options.only.as_deref().is_none_or(|text| comparison.name.contains(text)))
        .collect();
    if wanted.is_empty() {
        let only = options.only.unwrap_or_default();
        return Err(UsageError(format!("no comparison has `{only}` in its name; --list shows them")).into());
    }
    if options.list {
        list(&wanted, &options);
        return Ok(Verdict::Passed);
    }
    let mut bench = Bench::build(&workspace::root())?;
    let mut rows = Vec::new();
    for comparison in wanted {
        let row = measure(&mut bench, comparison, &options)?;
        if options.json {
            println!("{}", row.json());
        }
        rows.push(row);
    }
    if !options.json {
        println!("\n{}", table(&rows));
    }
    Ok(if rows.iter().all(Row::passed) { Verdict::Passed } else { Verdict::Failed })
}

fn options(arguments: &[String]) -> Result<Options> {
    let mut options = Options { rounds: 3, jobs: None, only: None, json: false, list: false };
    let mut arguments = Arguments::new(arguments);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rounds" => options.rounds = arguments.value("--rounds")?,
            "--jobs" => options.jobs = Some(arguments.value("--jobs")?),
            "--only" => options.only = Some(arguments.value("--only")?),
            "--json" => options.json = true,
            "--list" => options.list = true,
            _ => return Err(unknown(&argument)),
        }
    }
    if options.rounds == 0 || options.jobs == Some(0) {
        return Err(UsageError("`--rounds` and `--jobs` begin at 1".to_owned()).into());
    }
    Ok(options)
}

fn measure<'a>(bench: &mut Bench, comparison: &'a Comparison, options: &Options) -> Result<Row<'a>> {
    let jobs = options.jobs.unwrap_or(comparison.jobs);
    let mut row = Row { comparison, subject: Vec::new(), reference: Vec::new() };
    for round in 1..=options.rounds {
        eprintln!("{}: round {round} of {}", comparison.name, options.rounds);
        if let Some(reference) = comparison.reference {
            row.reference.push(bench.measure(reference, jobs)?);
        }
        row.subject.push(bench.measure(comparison.subject, jobs)?);
    }
    Ok(row)
}

fn list(wanted: &[&Comparison], options: &Options) {
    for comparison in wanted {
        println!("{}", comparison.name);
        for side in [comparison.reference, Some(comparison.subject)].into_iter().flatten() {
            let line = command_line(side, options.jobs.unwrap_or(comparison.jobs), "DIR").join(" ");
            match side.program {
                Program::Floor => println!("  gristmill-floors {line}"),
                Program::Product => println!("  gristmill {line}"),
            }
        }
    }
}
