//! The README's tables name tests and cases that are there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use gristmill_postgres::Postgres;
use gristmill_testkit::all_cases;

const README: &str = include_str!("../../../README.md");

/// The names of the functions in the files of a folder.
fn functions(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("it is read").path();
        if path.is_dir() {
            functions(&path, found);
            continue;
        }
        let text = fs::read_to_string(&path).expect("it is text");
        let signatures = text.lines().map(|line| line.strip_prefix("async ").unwrap_or(line));
        let names = signatures.filter_map(|line| line.strip_prefix("fn ")?.split_once('('));
        found.extend(names.map(|(name, _)| name.to_owned()));
    }
}

#[test]
fn every_test_the_readme_names_is_there() {
    let mut known: BTreeSet<String> = all_cases().map(|case| case.name.to_owned()).collect();
    for tests in ["tests/postgres", "../engine/tests"] {
        functions(&Path::new(env!("CARGO_MANIFEST_DIR")).join(tests), &mut known);
    }
    let rows = README.lines().filter(|line| line.starts_with('|'));
    let named: Vec<&str> = rows.flat_map(|row| row.split('`').skip(1).step_by(2)).collect();
    assert!(named.len() > 50, "the tables were not found");
    let unknown: Vec<&&str> =
        named.iter().filter(|name| **name != ";--" && !known.contains(**name)).collect();
    assert!(unknown.is_empty(), "the tables name what is no test: {unknown:?}");
}

#[test]
fn the_readme_lists_the_rights_that_come_with_the_schema() {
    let text = Postgres::schema_sql("gristmill");
    let listed: Vec<&str> = README.lines().filter(|line| line.starts_with("GRANT")).collect();
    let printed: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("-- "))
        .filter(|line| line.starts_with("GRANT"))
        .collect();
    assert!(!listed.is_empty());
    // The schema's name is quoted in what is printed, whatever it is.
    assert_eq!(printed.iter().map(|line| line.replace('"', "")).collect::<Vec<_>>(), listed);
}
