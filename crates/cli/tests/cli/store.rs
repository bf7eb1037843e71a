//! Files that are no store, or not one of ours.

use crate::program::Home;

#[test]
fn a_file_of_another_sort_is_refused_and_not_changed() {
    let home = Home::new();
    let text = b"this is no database, it is a letter of some length to somebody".repeat(40);
    home.write("jobs.db", &text);
    for words in [&["stats"][..], &["enqueue", "k"], &["migrate"], &["doctor"]] {
        let ran = home.run(words);
        assert!(matches!(ran.code, 1 | 5), "{words:?}: {} {}", ran.code, ran.stderr);
        assert!(ran.stderr.starts_with("error: ") && !ran.stderr.contains("panic"), "{}", ran.stderr);
    }
    assert_eq!(std::fs::read(home.path("jobs.db")).expect("it is there"), text);
}

#[test]
fn a_folder_is_no_store() {
    let home = Home::new();
    std::fs::create_dir(home.path("jobs.db")).expect("made");
    let ran = home.run(&["enqueue", "k"]);
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    assert!(ran.stderr.contains("it is a folder"), "{}", ran.stderr);
}

#[test]
fn the_printed_schema_is_the_one_that_is_applied() {
    let home = Home::new();
    let sql = home.ok(&["migrate", "sql"]).stdout;
    assert!(sql.contains("CREATE TABLE") && sql.contains("PRAGMA user_version"), "{sql}");
    assert!(!home.path("jobs.db").exists(), "printing makes no store");
    let up = home.ok(&["migrate", "up"]);
    assert!(up.stderr.contains("applied 0001_initial"), "{}", up.stderr);
    assert!(!home.ok(&["migrate"]).stderr.contains("applied"), "a second time there is nothing to do");
}

#[test]
fn a_store_that_is_not_there_is_not_made_by_looking() {
    let home = Home::new();
    for words in [&["jobs", "list"][..], &["queues", "list"], &["workers", "list"], &["doctor"], &["stats"]] {
        assert_eq!(home.run(words).code, 5, "{words:?}");
    }
    assert!(!home.path("jobs.db").exists());
}
