use std::io::Cursor;

use super::{
    matrix,
    output::{Ending, Results},
    run::{pass_through, select},
};
use crate::workspace::Package;

const OUTPUT: &str = "\
running 2 tests
test lease::token_is_random ... ok
test slow::one ... ignored, takes an hour
test result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s

conformance backend: memory
running 3 tests
test enqueue::keeps_args                      ... ok
test fetch::in_order                          ... FAILED
test notify::wakes [needs notifications]      ... ignored

test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s
model histories: memory 2000
conformance backend: sqlite
test enqueue::keeps_args ... ok
test fetch::in_order     ... ok
test notify::wakes       ... ok

test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.20s
";

fn read(text: &str) -> Results {
    pass_through(Cursor::new(text), &mut Vec::new()).expect("reading from memory succeeds")
}

#[test]
fn output_is_copied_byte_for_byte() {
    let mut copy = Vec::new();
    pass_through(Cursor::new(b"test \xff\r\nno end of line"), &mut copy).unwrap();
    assert_eq!(copy, b"test \xff\r\nno end of line");
}

#[test]
fn cases_belong_to_the_backend_announced_before_them() {
    let results = read(OUTPUT);
    assert_eq!(results.backends, ["memory", "sqlite"]);
    let ending =
        |case: &str, backend: &str| results.cases.get(&(case.to_owned(), backend.to_owned())).cloned();
    assert_eq!(ending("fetch::in_order", "memory"), Some(Ending::Failed));
    assert_eq!(ending("fetch::in_order", "sqlite"), Some(Ending::Passed));
    assert_eq!(ending("notify::wakes", "memory"), Some(Ending::Ignored("needs notifications".to_owned())));
    assert_eq!(results.cases.len(), 6);
    assert!(results.unaccounted.is_empty(), "{:?}", results.unaccounted);
}

#[test]
fn other_ignored_tests_and_model_lines_are_kept() {
    let results = read(OUTPUT);
    assert_eq!(results.ignored, ["slow::one (takes an hour)"]);
    assert_eq!(results.histories, ["model histories: memory 2000"]);
}

#[test]
fn matrix_shows_every_cell() {
    let drawn = matrix::draw(&read(OUTPUT));
    let expected = "\
Support matrix (`-` = ignored, with the reason)

case          memory                 sqlite
enqueue
  keeps_args  ok                     ok
fetch
  in_order    FAILED                 ok
notify
  wakes       - needs notifications  ok

memory: 1 ok, 1 failed, 1 ignored
sqlite: 3 ok, 0 failed, 0 ignored
";
    assert_eq!(drawn, expected);
}

#[test]
fn case_missing_on_one_backend_is_visible() {
    let drawn = matrix::draw(&read(
        "conformance backend: a\ntest x::y ... ok\ntest result: ok. 1 passed; 0 failed\n\
         conformance backend: b\ntest x::z ... ok\ntest result: ok. 1 passed; 0 failed\n",
    ));
    assert!(drawn.contains("  y  ok       NOT RUN\n"), "{drawn}");
}

#[test]
fn hidden_cases_are_a_fault() {
    let lost =
        read("conformance backend: a\ntest x::y ... ok\ntest result: ok. 2 passed; 0 failed; 0 ignored\n");
    assert_eq!(lost.unaccounted, ["a: 1 lines, 2 tests"]);
    let cut_off = read("conformance backend: a\ntest x::y ... ok\n");
    assert_eq!(cut_off.unaccounted, ["a: 1 lines, no summary"]);
}

#[test]
fn crate_is_found_by_folder_or_name() {
    let packages = [
        Package { name: "gristmill-sqlite".to_owned(), folder: "crates/sqlite".to_owned() },
        Package { name: "gristmill-system-tests".to_owned(), folder: "tests/system".to_owned() },
    ];
    for name in ["sqlite", "gristmill-sqlite"] {
        assert_eq!(select(&packages, name).unwrap(), packages[0]);
    }
    assert_eq!(select(&packages, "system").unwrap(), packages[1]);
    assert!(select(&packages, "oracle").unwrap_err().to_string().contains("sqlite, system"));
}
