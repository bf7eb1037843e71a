//! The support matrix: which case of the conformance suite holds on which backend.

use std::{collections::BTreeSet, fmt::Write as _};

use super::output::{Ending, Results};

/// Draws the matrix, one row a case, grouped by area; empty if no conformance suite ran.
pub(crate) fn draw(results: &Results) -> String {
    let names: BTreeSet<&str> = results.cases.keys().map(|(case, _)| case.as_str()).collect();
    let Some(name_width) = names.iter().map(|name| label(name).chars().count()).max() else {
        return String::new();
    };
    let widths: Vec<usize> = results.backends.iter().map(|backend| column_width(results, backend)).collect();

    let mut text = String::from("Support matrix (`-` = ignored, with the reason)\n\n");
    let mut line = format!("{:name_width$}", "case");
    for (backend, width) in results.backends.iter().zip(&widths) {
        let _ = write!(line, "  {backend:width$}");
    }
    push_line(&mut text, &line);
    let mut last_area = "";
    for name in names {
        let area = name.split_once("::").map_or("", |(area, _)| area);
        if area != last_area {
            push_line(&mut text, area);
            last_area = area;
        }
        let mut line = format!("{:name_width$}", label(name));
        for (backend, width) in results.backends.iter().zip(&widths) {
            let _ = write!(line, "  {:width$}", cell(results, name, backend));
        }
        push_line(&mut text, &line);
    }
    text.push('\n');
    for backend in &results.backends {
        push_line(&mut text, &totals(results, backend));
    }
    text
}

/// The row's name below its area's line.
fn label(name: &str) -> String {
    format!("  {}", name.split_once("::").map_or(name, |(_, case)| case))
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}

fn column_width(results: &Results, backend: &str) -> usize {
    let cells = results.cases.keys().map(|(case, _)| cell(results, case, backend).chars().count());
    cells.max().unwrap_or(0).max(backend.chars().count())
}

fn cell(results: &Results, case: &str, backend: &str) -> String {
    match results.cases.get(&(case.to_owned(), backend.to_owned())) {
        Some(Ending::Passed) => "ok".to_owned(),
        Some(Ending::Failed) => "FAILED".to_owned(),
        Some(Ending::Ignored(reason)) => format!("- {reason}").trim_end().to_owned(),
        None => "NOT RUN".to_owned(),
    }
}

/// `sqlite: 120 ok, 0 failed, 3 ignored`
fn totals(results: &Results, backend: &str) -> String {
    let (mut passed, mut failed, mut ignored) = (0, 0, 0);
    for ((_, of), ending) in &results.cases {
        if of == backend {
            match ending {
                Ending::Passed => passed += 1,
                Ending::Failed => failed += 1,
                Ending::Ignored(_) => ignored += 1,
            }
        }
    }
    format!("{backend}: {passed} ok, {failed} failed, {ignored} ignored")
}
