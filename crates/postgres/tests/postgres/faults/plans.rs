//! Every statement is one the server takes, and finds its rows by an index whatever the tables hold.

mod reads;
mod whole;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::site::{Raw, Site};
use whole::{first_columns, read_as_a_whole};

/// As the connections of the backend are set, pool.rs.
const SETTINGS: &str = "SET jit = off; SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off;
    SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off";

/// Jobs of the store: a tenth of them available, a tenth waiting, a tenth ended otherwise, the others
/// completed.
const JOBS: usize = 1_000_000;

/// The tables that grow with the number of jobs; `claims` does with its dead rows, beside an old snapshot.
const LARGE: [&str; 11] = [
    "jobs",
    "attempts",
    "ready",
    "waiting",
    "ended",
    "uniques",
    "expiries",
    "events",
    "logs",
    "claims",
    "registers",
];

/// Statements that read a large table as a whole, which, and why they may.
const WHOLE: [(&str, &[&str], &str); 11] = [
    (
        "counts",
        &["ready", "waiting", "ended", "claims"],
        "it counts what is there, up to a bound, where the numbers of waiting jobs are asked for",
    ),
    (
        "strike_jobs",
        &["claims"],
        "an operator erases jobs that have run; which claims list them is not known",
    ),
    ("strike_span", &["claims"], "a partition is dropped; which claims list its jobs is not known"),
    ("trim_runs", &["claims"], "a job has run 64 times more; which claims list its old runs is not known"),
    ("locate", &["claims"], "an operator looks at running jobs; which claims list them is not known"),
    ("walk_claims_up", &["claims"], "an operator lists running jobs"),
    ("walk_claims_down", &["claims"], "an operator lists running jobs"),
    ("walk_cancelled_up", &["ended"], PASSED_OVER),
    ("walk_cancelled_down", &["ended"], PASSED_OVER),
    ("walk_discarded_up", &["ended"], PASSED_OVER),
    ("walk_discarded_down", &["ended"], PASSED_OVER),
];
const PASSED_OVER: &str =
    "an operator lists jobs of one state; where those of the other one are few they are passed over";

/// Statements that read a large table as a whole, however few rows they give.
const CARELESS: [&str; 8] = [
    "SELECT count(*) FROM {schema}.jobs",
    "SELECT id FROM {schema}.ready ORDER BY id",
    "SELECT id FROM {schema}.jobs ORDER BY created_at LIMIT 10",
    "SELECT id FROM {schema}.jobs ORDER BY md5(id::text) LIMIT 10",
    "SELECT max(id::text) FROM {schema}.waiting LIMIT 1",
    "SELECT id FROM {schema}.ended WHERE finished_at < 0 ORDER BY id LIMIT 1",
    "SELECT id FROM {schema}.ended WHERE delete_at >= 0 AND finished_at < 0 LIMIT 1",
    "WITH every AS MATERIALIZED (SELECT id FROM {schema}.waiting ORDER BY id) SELECT id FROM every LIMIT 1",
];

/// Names and texts as the files have them, ordered.
fn files() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    let files = fs::read_dir(folder).expect("the folder is there");
    let mut all: Vec<(String, String)> = files
        .map(|file| {
            let path = file.expect("it is read").path();
            let name = path.file_stem().expect("it has a name").to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).expect("it is text"))
        })
        .collect();
    all.sort();
    assert!(all.len() > 50, "{}", all.len());
    all
}

/// Names and texts as the server gets them: `list/place.rs` says how a walk goes on.
fn statements() -> Vec<(String, String)> {
    let added = |(name, text): (String, String)| {
        let limit = match &*name {
            "walk_jobs" => 7,
            "walk_ready" | "walk_waiting" | "walk_claims" | "walk_runs" | "walk_cancelled"
            | "walk_discarded" => 2,
            _ => return vec![(name, text)],
        };
        let up = format!("{text} WHERE id > $1::uuid ORDER BY id LIMIT ${limit}::int8");
        let down = format!("{text} WHERE id < $1::uuid ORDER BY id DESC LIMIT ${limit}::int8");
        let mut all = vec![(format!("{name}_up"), up), (format!("{name}_down"), down)];
        if name == "walk_jobs" {
            let wanted = "WITH wanted AS MATERIALIZED (SELECT unnest($1::uuid[]) AS id)";
            all.push((
                "walk_jobs_by_id".to_owned(),
                format!("{wanted}\n{text} JOIN wanted ON wanted.id = looked.id WHERE looked.id = ANY ($1)"),
            ));
        }
        all
    };
    files().into_iter().filter(|(_, text)| has_plan(text)).flat_map(added).collect()
}

/// A `LOCK TABLE` has no plan, and SQL's PREPARE does not take it.
fn has_plan(text: &str) -> bool {
    text.lines().find(|line| !line.starts_with("--")).is_some_and(|line| !line.starts_with("LOCK TABLE "))
}

/// The types of a statement's parameters, each from its first `$n::type`; where there is none the backend
/// sends a text.
fn parameters(text: &str) -> Vec<&str> {
    let mut types: Vec<Option<&str>> = Vec::new();
    let body = text.lines().filter(|line| !line.starts_with("--"));
    for part in body.flat_map(|line| line.split('$').skip(1)) {
        let end = part.find(|character: char| !character.is_ascii_digit()).unwrap_or(part.len());
        let Ok(number) = part[..end].parse::<usize>() else { continue };
        types.resize(types.len().max(number), None);
        let typed = part[end..].strip_prefix("::").map(|rest| {
            rest.split(|character: char| !character.is_ascii_alphanumeric() && !"[]_".contains(character))
                .next()
        });
        let place = &mut types[number - 1];
        *place = place.or(typed.flatten());
    }
    types.into_iter().map(|known| known.unwrap_or("text")).collect()
}

fn prepare(raw: &Raw) {
    for (name, text) in statements() {
        let types = parameters(&text).join(", ");
        let types = if types.is_empty() { types } else { format!(" ({types})") };
        raw.run(&format!("PREPARE \"{name}\"{types} AS {}", text.replace("gristmill.", "{schema}.")));
    }
}

#[test]
fn every_statement_is_taken_by_the_server_with_the_types_it_says() {
    let site = Site::shared();
    let raw = site.raw();
    prepare(&raw);
    for (name, text) in files() {
        let header: Vec<&str> = text.lines().take_while(|line| line.starts_with("--")).collect();
        for part in ["-- Purpose: ", "-- Parameters: ", "-- Rows: ", "-- Index: "] {
            assert!(header.iter().any(|line| line.starts_with(part)), "{name}.sql does not say `{part}`");
        }
    }
}

/// Some jobs: a quarter in each of three partitions and in the DEFAULT one.
fn fill(raw: &Raw, jobs: usize) {
    raw.run(&format!(
        "SET synchronous_commit = off;
         SELECT {{schema}}.make_partition(part, 1700000000000 + {jobs} * 25 * n, 1700000000000 + {jobs} * 25 * (n + 1), 0)
             FROM unnest(ARRAY['jobs', 'attempts', 'records', 'logs']) AS part, generate_series(0, 2) AS n;
         INSERT INTO {{schema}}.queues (queue, name) VALUES (1, 'line'), (2, 'other'), (3, 'third');
         CREATE TEMP TABLE new AS
             SELECT (lpad(to_hex(1700000000000 + n * 100), 12, '0') || '70008' || lpad(to_hex(n), 15, '0'))::uuid AS id,
                 1700000000000 + n * 100 AS at, (n % 3 + 1)::int AS queue, n
             FROM generate_series(1::bigint, {jobs}) AS n;
         INSERT INTO {{schema}}.jobs (id, created_at, queue, max_attempts, priority, kind, args)
             SELECT id, at, queue, 20, 0, 'work', '{{}}' FROM new;
         INSERT INTO {{schema}}.ready (id, run_at, queue, run, attempt, priority, crashes)
             SELECT id, at, queue, 0, 0, n % 5, 0 FROM new WHERE n % 10 = 0;
         INSERT INTO {{schema}}.waiting (id, run_at, queue, run, attempt, priority, crashes, state)
             SELECT id, at, queue, 0, 0, 0, 0, 1 FROM new WHERE n % 10 = 1;
         INSERT INTO {{schema}}.ended (id, finished_at, delete_at, queue, run, attempt, priority, crashes, state, run_at)
             SELECT id, at, at, queue, 1, 1, 0, 0, 6 + n % 20 / 10, at FROM new WHERE n % 10 = 2;
         INSERT INTO {{schema}}.attempts
                 (id, worker, fetched_at, finished_at, run_at, run, attempt, token, ending, state, ended_by)
             SELECT id, id, at, at, at, 1, 1, 0, 0, 5, 0 FROM new WHERE n % 10 > 2;
         INSERT INTO {{schema}}.uniques (queue, key, id)
             SELECT queue, convert_to(n::text, 'UTF8'), id FROM new WHERE n % 10 = 0;
         INSERT INTO {{schema}}.expiries (delete_at, id) SELECT at, id FROM new WHERE n % 10 = 3;
         INSERT INTO {{schema}}.events (id, at, what) SELECT id, at, 'cancel' FROM new WHERE n % 10 = 2;
         INSERT INTO {{schema}}.claims (nonce, worker, number, fetched_at, queue, open, ids, run_ats, runs, attempts,
                 priorities, crashes)
             SELECT id, id, n, at, queue, 1, ARRAY[id], ARRAY[at], '{{1}}', '{{1}}', '{{0}}', '{{0}}' FROM new WHERE n % 1000 = 3;
         INSERT INTO {{schema}}.logs (id, run, line, at, text) SELECT id, 1, 1, at, 'x' FROM new WHERE n % 10 = 3;
         INSERT INTO {{schema}}.registers (space, key, stamp, value, due, forget_at)
             SELECT 'x.space', convert_to(n::text, 'UTF8'), n, '{{\"v\":1}}', at, CASE WHEN n % 40 = 4 THEN at END
             FROM new WHERE n % 10 = 4;
         RESET synchronous_commit"
    ));
}

/// Turns autovacuum off, so that only the test takes statistics.
fn without_vacuum(raw: &Raw) {
    raw.run(
        "DO $$ DECLARE part regclass; BEGIN
             FOR part IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = '{schema}'::regnamespace LOOP
                 EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled = off)', part);
             END LOOP;
         END $$",
    );
}

fn analyze(raw: &Raw) {
    let tables: Vec<String> = LARGE.iter().map(|table| format!("{{schema}}.{table}")).collect();
    raw.run(&format!("ANALYZE {}", tables.join(", ")));
}

/// The generic plan of every statement; it is the same whatever the parameters are.
fn assert_plans(raw: &Raw, when: &str) {
    let first_columns = first_columns(raw);
    let mut wrong = String::new();
    for (name, text) in statements() {
        let nulls = vec!["NULL"; parameters(&text).len()].join(", ");
        let execute = if nulls.is_empty() { format!("\"{name}\"") } else { format!("\"{name}\"({nulls})") };
        let plan = raw.value(&format!("EXPLAIN EXECUTE {execute}"));
        let whole = read_as_a_whole(&plan, &first_columns);
        let may = |table: &&str| {
            WHOLE.iter().any(|(allowed, tables, _)| *allowed == name && tables.contains(table))
        };
        if !whole.iter().all(may) {
            let _ = write!(wrong, "\n{name}.sql reads all of {whole:?} {when}:\n{plan}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The plans of a session that begins after the tables were analysed.
fn assert_plans_as_analysed(site: &Site, raw: &Raw, when: &str) {
    analyze(raw);
    let session = site.raw();
    session.run(SETTINGS);
    prepare(&session);
    assert_plans(&session, when);
    raw.run("DROP SCHEMA {schema} CASCADE");
}

/// Such statistics stay for as long as a snapshot is open: dead rows are not counted, and read all the same.
#[test]
fn no_statement_reads_a_whole_table_that_was_almost_empty_when_it_was_analysed() {
    let site = Site::shared();
    let raw = site.raw();
    fill(&raw, 20);
    assert_plans_as_analysed(&site, &raw, "with the statistics of an almost empty store");
}

/// As a busy store is seen that had no job at the moment it was analysed.
#[test]
fn no_statement_reads_a_whole_table_that_was_full_of_dead_rows_when_it_was_analysed() {
    let site = Site::shared();
    let raw = site.raw();
    fill(&raw, JOBS / 10);
    for table in LARGE {
        raw.run(&format!("DELETE FROM {{schema}}.{table}"));
    }
    assert_plans_as_analysed(&site, &raw, "with the statistics of an empty store full of dead rows");
}

#[test]
fn no_statement_reads_a_table_of_a_million_jobs_as_a_whole() {
    let site = Site::shared();
    let raw = site.raw();
    // Connections prepare their statements when there is nothing, and keep them.
    let early = site.raw();
    early.run(SETTINGS);
    prepare(&early);
    assert_plans(&early, "while it is empty");
    fill(&raw, JOBS);
    assert_eq!(raw.rows("jobs"), JOBS);
    let late = site.raw();
    late.run(SETTINGS);
    for careless in CARELESS {
        let plan = late.value(&format!("EXPLAIN {careless}"));
        assert!(!read_as_a_whole(&plan, &first_columns(&late)).is_empty(), "{plan}");
    }
    prepare(&late);
    assert_plans(&early, "planned while it was empty");
    assert_plans(&late, "without statistics");
    analyze(&raw);
    assert_plans(&early, "with statistics");
    assert_plans(&late, "with statistics");
    raw.run("DROP SCHEMA {schema} CASCADE");
}
