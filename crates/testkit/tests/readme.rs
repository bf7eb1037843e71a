//! The README's table of rules names cases that are there.

use std::collections::BTreeSet;

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

#[test]
fn no_two_cases_share_a_name() {
    let names: Vec<&str> = all_cases().map(|case| case.name).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
}
