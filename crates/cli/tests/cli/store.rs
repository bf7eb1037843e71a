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
        assert_eq!(
            ran.stderr,
            "error: jobs.db: the file is not an SQLite database: file is not a database\n\
             hint: name another file; this one was not changed\n"
        );
    }
    assert_eq!(std::fs::read(home.path("jobs.db")).expect("it is there"), text);
}

/// Where the header of an SQLite file keeps two of its numbers:
/// <https://www.sqlite.org/fileformat.html#the_database_header>.
const USER_VERSION: usize = 60;
const APPLICATION_ID: usize = 68;

#[test]
fn a_database_of_another_program_or_version_is_refused() {
    let home = Home::new();
    for (file, offset, value) in [("foreign.db", APPLICATION_ID, 0_u32), ("newer.db", USER_VERSION, 99)] {
        home.ok(&["migrate", "--db", &format!("sqlite:{file}")]);
        let mut bytes = std::fs::read(home.path(file)).expect("it is there");
        bytes[offset..offset + 4].copy_from_slice(&value.to_be_bytes());
        home.write(file, bytes);
    }
    // A later version that only added something serves this program, until its row of `meta` says otherwise.
    home.ok(&["stats", "--db", "sqlite:newer.db"]);
    let mut bytes = std::fs::read(home.path("newer.db")).expect("it is there");
    let row = b"compatible_from\x04";
    let found = bytes.windows(row.len()).position(|window| window == row).expect("it has the row");
    bytes[found + row.len() - 1] = 98;
    home.write("newer.db", bytes);
    home.write("empty.db", "");
    for (file, words, error, hint) in [
        ("foreign.db", &["enqueue", "k"][..], "a database of another program", "this one was not changed"),
        ("foreign.db", &["migrate"], "a database of another program", "this one was not changed"),
        ("newer.db", &["stats"], "schema has version 99", "upgrade this program"),
        ("newer.db", &["migrate"], "schema has version 99", "upgrade this program"),
        ("empty.db", &["stats"], "the database has no schema", "run `gristmill migrate`"),
    ] {
        let url = format!("sqlite:{file}");
        let ran = home.run(&[words, &["--db", &url]].concat());
        assert_eq!(ran.code, 1, "{file} {words:?}: {}", ran.stderr);
        assert!(ran.stderr.starts_with("error: ") && !ran.stderr.contains("Error code"), "{}", ran.stderr);
        assert!(file == "empty.db" || ran.stderr.contains(file), "{}", ran.stderr);
        assert!(ran.stderr.contains(error) && ran.stderr.contains("\nhint: "), "{}", ran.stderr);
        assert!(ran.stderr.contains(hint) && ran.stdout.is_empty(), "{}", ran.stderr);
    }
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
