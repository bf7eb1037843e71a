//! The statements of the hot paths use the index their header names: a scan would show only with a million
//! jobs.

use rusqlite::Connection;

use crate::fixture::File;

/// SQLite's plan of a statement, one step a line.
fn plan(sql: &str) -> String {
    let file = File::new();
    drop(file.open());
    explain(&file.raw(), &without_header(sql)).expect("the statement is one").join("\n")
}

fn explain(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
    let parameters = vec![1_i64; explain.parameter_count()];
    let steps = explain.query_map(rusqlite::params_from_iter(parameters), |row| row.get(3))?;
    steps.collect()
}

fn without_header(sql: &str) -> String {
    sql.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join("\n")
}

fn assert_plan(sql: &str, uses: &[&str]) {
    let plan = plan(sql);
    for step in uses {
        assert!(plan.contains(step), "`{step}` is not in:\n{plan}");
    }
    let plan = plan.replace("SCAN CONSTANT ROW", "");
    assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{plan}");
}

#[test]
fn fetch_reads_the_line_in_its_order() {
    let line = "SEARCH ready USING PRIMARY KEY (queue=? AND priority>? AND priority<?)";
    assert_plan(include_str!("../../sql/fetch.sql"), &[line, "SEARCH jobs USING INTEGER PRIMARY KEY"]);
    for (delete, range) in [
        (include_str!("../../sql/delete_fetched_priorities.sql"), "(queue=? AND priority>? AND priority<?)"),
        (include_str!("../../sql/delete_fetched_earlier.sql"), "(queue=? AND priority=? AND run_at<?)"),
        (
            include_str!("../../sql/delete_fetched_last.sql"),
            "(queue=? AND priority=? AND run_at=? AND seq<?)",
        ),
    ] {
        assert_plan(delete, &[&format!("SEARCH ready USING PRIMARY KEY {range}")]);
    }
}

#[test]
fn promotion_reads_what_is_due() {
    assert_plan(include_str!("../../sql/due.sql"), &["waiting_due"]);
    assert!(plan(include_str!("../../sql/next_due.sql")).contains("waiting_due"));
}

#[test]
fn pruning_reads_what_is_past_its_retention() {
    assert_plan(include_str!("../../sql/next_expiry.sql"), &["expiries_due"]);
}

#[test]
fn a_list_walks_the_ids() {
    let job = include_str!("../../sql/job.sql");
    for condition in [
        "WHERE jobs.id = ?1",
        "WHERE jobs.id > ?1 ORDER BY jobs.id LIMIT ?2",
        "WHERE jobs.id < ?1 ORDER BY jobs.id DESC LIMIT ?2",
    ] {
        let uses = [
            "SEARCH jobs USING INDEX sqlite_autoindex_jobs_1",
            "SEARCH ready USING PRIMARY KEY (queue=? AND priority=? AND run_at=? AND seq=?)",
            "SEARCH latest USING INTEGER PRIMARY KEY",
        ];
        assert_plan(&format!("{job} {condition}"), &uses);
    }
}

#[test]
fn rare_states_are_found_by_their_place() {
    assert_plan(include_str!("../../sql/ids_waiting.sql"), &["waiting_state"]);
    assert_plan(include_str!("../../sql/ids_ended.sql"), &["ended_state"]);
}

#[test]
fn parked_jobs_are_found_by_their_kind() {
    let line = "SEARCH waiting USING COVERING INDEX waiting_parked (queue=? AND kind=?";
    assert_plan(include_str!("../../sql/parked_of_kind.sql"), &[line]);
    for sql in [
        include_str!("../../sql/next_parked_kind.sql"),
        include_str!("../../sql/parked_number.sql"),
        include_str!("../../sql/first_parked_of_priority.sql"),
        include_str!("../../sql/kinds_of_worker.sql"),
        include_str!("../../sql/queues_with_jobs.sql"),
    ] {
        assert!(plan(sql).contains("waiting_parked"), "{}", plan(sql));
    }
}

#[test]
fn a_finish_is_decided_by_the_key_of_its_run() {
    for sql in ["append_plain_run.sql", "append_run.sql"] {
        let path = format!("{}/sql/{sql}", env!("CARGO_MANIFEST_DIR"));
        assert!(std::fs::read_to_string(path).unwrap().contains("ON CONFLICT DO NOTHING"));
    }
    assert_plan(include_str!("../../sql/run_is_open.sql"), &["SEARCH runs USING INTEGER PRIMARY KEY"]);
    assert_plan(include_str!("../../sql/free_unique.sql"), &["SEARCH uniques USING PRIMARY KEY"]);
}
