//! The README's table of rules names cases that are there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use gristmill_testkit::all_cases;

const README: &str = include_str!("../README.md");

/// What stands in backticks in the README's tables.
fn quoted() -> impl Iterator<Item = &'static str> {
    let rows = README.lines().filter(|line| line.starts_with('|'));
    rows.flat_map(|row| row.split('`').skip(1).step_by(2))
}

#[test]
fn every_case_and_area_of_the_table_is_there() {
    let cases: BTreeSet<&str> = all_cases().flat_map(|case| [case.name, case.area]).collect();
    let is_a_case =
        |word: &&str| !word.contains("::") && word.chars().all(|c| c.is_ascii_lowercase() || c == '_');

    let unknown: Vec<&str> = quoted().filter(is_a_case).filter(|word| !cases.contains(word)).collect();

    assert!(unknown.is_empty(), "the table names what is no case: {unknown:?}");
    assert!(quoted().filter(is_a_case).count() > 50, "the table was not found");
}

/// The text of every Rust file below `folder`.
fn sources(folder: &Path) -> String {
    let Ok(entries) = fs::read_dir(folder) else { return String::new() };
    let paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    let text = paths.iter().map(|path| match path.extension() {
        Some(extension) if extension == "rs" => fs::read_to_string(path).unwrap_or_default(),
        _ if path.is_dir() && !path.ends_with("target") => sources(path),
        _ => String::new(),
    });
    text.collect()
}

#[test]
fn every_test_of_another_crate_that_the_table_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let named: BTreeSet<(&str, &str)> =
        quoted().filter_map(|word| word.split_once("::")).filter(|(_, test)| !test.is_empty()).collect();
    for krate in named.iter().map(|(krate, _)| *krate).collect::<BTreeSet<&str>>() {
        let folder =
            if krate == "system" { root.join("tests/system") } else { root.join("crates").join(krate) };
        let sources = sources(&folder);
        let missing: Vec<&str> = named
            .iter()
            .filter(|(of, test)| *of == krate && !sources.contains(&format!("fn {test}(")))
            .map(|(_, test)| *test)
            .collect();
        assert!(missing.is_empty(), "the table names what is no test of {krate}: {missing:?}");
    }
    assert!(named.len() > 20, "the table was not found");
}

#[test]
fn no_two_cases_share_a_name() {
    let names: Vec<&str> = all_cases().map(|case| case.name).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
}
