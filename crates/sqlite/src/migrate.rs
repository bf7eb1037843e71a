//! The schema: where it is, and how it gets up to date.
//!
//! A file of ours says so in its header (`application_id`), with the version of its schema (`user_version`), so nothing
//! is taken for ours by the names of its tables. Who asks for it may have the schema in a file of his own tables.

use std::collections::HashSet;

use gristmill_core::{BackendError, BackendErrorKind, MigrateMode, MigrationReport};
use gristmill_sql::{Migration, Migrations, OUTBOX_PROTOCOLS, SQLITE_COMPATIBLE_FROM, SchemaVersion};
use rusqlite::Connection;

use crate::error::{Answer, Fail};
use crate::handle::Sqlite;

/// `GRML`, as bytes.
const APPLICATION_ID: i64 = 0x4752_4d4c;

const MIGRATIONS: Migrations = Migrations(&[
    Migration {
        version: 1,
        name: "0001_initial",
        statements: include_str!("../migrations/0001_initial.sql"),
    },
    Migration { version: 2, name: "0002_outbox", statements: include_str!("../migrations/0002_outbox.sql") },
    Migration {
        version: 3,
        name: "0003_versions",
        statements: include_str!("../migrations/0003_versions.sql"),
    },
]);

/// The views of the outbox, which each migration makes again.
const VIEWS: &str = include_str!("../views/outbox.sql");

const _: () = assert!(MIGRATIONS.latest() == gristmill_sql::SQLITE_SCHEMA);

impl Sqlite {
    /// The statements that make the schema of this version in an empty file, with what marks the file as ours; for
    /// those who want to read it first.
    pub fn schema() -> String {
        statements_after(0)
    }
}

/// What brings a schema of this version, older than the latest, up to date.
fn statements_after(version: u32) -> String {
    let steps: Vec<&str> = MIGRATIONS.after(version).map(|step| step.statements.trim_end()).collect();
    let drops: Vec<String> = views().map(|name| format!("DROP VIEW IF EXISTS {name};")).collect();
    let (steps, drops, numbers, latest) = (steps.join("\n\n"), drops.join("\n"), numbers(), latest());
    format!(
        "{steps}\n\n{drops}\n\n{VIEWS}\n{numbers}\nPRAGMA application_id = {APPLICATION_ID};\n\
        PRAGMA user_version = {latest};\n"
    )
}

/// The names of the views of the outbox.
fn views() -> impl Iterator<Item = &'static str> {
    let made = VIEWS.lines().filter_map(|line| line.strip_prefix("CREATE VIEW "));
    made.filter_map(|rest| rest.split(['(', ' ']).next())
}

/// Says which programs and requests the latest schema serves.
fn numbers() -> String {
    let (oldest, newest) = OUTBOX_PROTOCOLS.into_inner();
    format!(
        "INSERT OR REPLACE INTO meta (name, value) VALUES\n    ('compatible_from', {SQLITE_COMPATIBLE_FROM}), \
        ('outbox_oldest', {oldest}), ('outbox_newest', {newest});\n"
    )
}

/// What the header of a file says, and whether there is more than the header: one statement, so that it is one state of
/// the file, which another process may be making just now.
const HEADER: &str = "SELECT a.application_id, v.user_version, (SELECT count(*) FROM sqlite_schema)
FROM pragma_application_id AS a, pragma_user_version AS v";

/// What becomes of a file that holds tables of somebody else's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Neighbours {
    /// It is refused.
    Refused,
    /// The schema goes beside them, where nothing of the two has the same name.
    Welcome,
}

/// The version of the schema; 0 in an empty file. A file that is not ours, or whose schema is too new for this program,
/// is refused.
pub(crate) fn version(connection: &Connection, neighbours: Neighbours) -> Answer<u32> {
    let (application, version, tables): (i64, i64, i64) =
        connection.query_row(HEADER, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    if application == APPLICATION_ID {
        let version = u32::try_from(version).unwrap_or(u32::MAX);
        check(connection, version)?;
        return Ok(version);
    }
    if application == 0 && tables == 0 {
        return Ok(0);
    }
    if neighbours == Neighbours::Refused {
        let hint = "name another file; this one was not changed. If it is yours, and the jobs are to go beside your \
            tables, say so: `?share=true` in the URL, or `share(true)` in a program";
        return Err(foreign("the file is a database of another program", hint));
    }
    if application != 0 || version != 0 {
        return Err(foreign(
            "the file's header is in use by another program, which counts in `user_version` or `application_id`",
            "let the jobs have a file of their own; this one was not changed",
        ));
    }
    if let Some(name) = taken_name(connection)? {
        let message = format!("the file has a `{}` of its own", name.escape_debug());
        return Err(foreign(&message, "let the jobs have a file of their own; this one was not changed"));
    }
    Ok(0)
}

/// Refuses a schema that is too new for this program. An older one, or none, has still to be migrated.
fn check(connection: &Connection, version: u32) -> Answer<()> {
    if version <= latest() {
        return Ok(());
    }
    // Only a newer schema can exclude this program, and each has had the number since 0003.
    let mut select = connection.prepare_cached("SELECT value FROM meta WHERE name = 'compatible_from'")?;
    let compatible_from = select.query_row([], |row| row.get(0))?;
    Ok(SchemaVersion { version, compatible_from }.check("the file's schema", latest())?)
}

/// Refuses a file whose schema was migrated, while this program used it, to one that is too new for this program.
pub(crate) fn check_again(connection: &Connection) -> Answer<()> {
    let mut header = connection.prepare_cached("PRAGMA user_version")?;
    let version: i64 = header.query_row([], |row| row.get(0))?;
    check(connection, u32::try_from(version).unwrap_or(u32::MAX))
}

fn foreign(message: &str, hint: &'static str) -> Fail {
    Fail::Refused(BackendError::new(BackendErrorKind::Foreign, message).with_hint(hint))
}

/// A name of our schema that is taken in a file that does not have it.
fn taken_name(connection: &Connection) -> Answer<Option<String>> {
    const NAMES: &str = "SELECT lower(name) FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
    let names = |of: &Connection| {
        of.prepare(NAMES)?.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<HashSet<String>>>()
    };
    let model = Connection::open_in_memory()?;
    model.execute_batch(&statements_after(0))?;
    Ok(names(connection)?.intersection(&names(&model)?).min().cloned())
}

/// The version this library brings.
pub(crate) fn latest() -> u32 {
    MIGRATIONS.latest()
}

/// Brings the schema up to date, or says where it is; inside the caller's transaction. Where a later release has
/// migrated further, its views fit its schema, and stay.
pub(crate) fn migrate(
    connection: &Connection,
    neighbours: Neighbours,
    mode: MigrateMode,
) -> Answer<MigrationReport> {
    let from = version(connection, neighbours)?;
    let mut report = MIGRATIONS.report(from);
    if mode == MigrateMode::Up && from < latest() {
        connection.execute_batch(&statements_after(from))?;
        report.current = latest();
    }
    Ok(report)
}
