//! The schema: where it is, and how it gets up to date.
//!
//! A file of ours says so in its header (`application_id`), with the version of its schema (`user_version`),
//! so nothing is taken for ours by the names of its tables. A program that shares its file has the schema
//! beside its own tables.

use std::collections::HashSet;

use gristmill_core::{BackendError, BackendErrorKind, MigrateMode, MigrationReport};
use gristmill_sql::{Migration, Migrations, OUTBOX_PROTOCOLS, SQLITE_COMPATIBLE_FROM, SchemaVersion};
use rusqlite::Connection;

use crate::error::{Answer, Fail};

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
    Migration {
        version: 4,
        name: "0004_requests",
        statements: include_str!("../migrations/0004_requests.sql"),
    },
    Migration {
        version: 5,
        name: "0005_encoding",
        statements: include_str!("../migrations/0005_encoding.sql"),
    },
    Migration {
        version: 6,
        name: "0006_registers",
        statements: include_str!("../migrations/0006_registers.sql"),
    },
]);

/// The views of the outbox, which each migration drops first and creates last.
const VIEWS: &str = include_str!("../views/outbox.sql");

/// Views of earlier versions, which are only dropped. A view that goes is named here.
const FORMER_VIEWS: [&str; 18] = [
    "outbox_schema",
    "outbox_pairs",
    "outbox_halves",
    "outbox_args",
    "outbox_json",
    "outbox_shape",
    "outbox_parts",
    "outbox_options",
    "outbox_place",
    "outbox_take_out",
    "outbox_cancel",
    "outbox_update",
    "outbox_patch",
    "outbox_named",
    "outbox_act",
    "outbox_cancelled",
    "outbox_event",
    "outbox_states",
];

const _: () = assert!(MIGRATIONS.latest() == gristmill_sql::SQLITE_SCHEMA);

/// The statements that make the schema of this version in an empty file.
pub(crate) fn schema() -> String {
    statements_after(0)
}

/// What brings a schema of this version, older than the latest, up to date.
fn statements_after(version: u32) -> String {
    written(MIGRATIONS.after(version))
}

/// The text of some migrations. SQLite parses all views and triggers again when a table or a column is
/// renamed or dropped, and fails if one does not fit. So those of the outbox are not there while the
/// migrations run.
fn written<'m>(steps: impl Iterator<Item = &'m Migration>) -> String {
    let steps: Vec<&str> = steps.map(|step| step.statements.trim_end()).collect();
    let drops: Vec<String> =
        views().chain(FORMER_VIEWS).map(|name| format!("DROP VIEW IF EXISTS {name};")).collect();
    let (steps, drops, numbers, latest) = (steps.join("\n\n"), drops.join("\n"), numbers(), latest());
    format!(
        "{drops}\n\n{steps}\n\n{VIEWS}\n{numbers}\nPRAGMA application_id = {APPLICATION_ID};\n\
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

/// What the header of a file says, and whether there is more than the header: one statement, so that it is
/// one state of the file, which another process may be making just now.
const HEADER: &str = "SELECT a.application_id, v.user_version, (SELECT count(*) FROM sqlite_schema)
FROM pragma_application_id AS a, pragma_user_version AS v";

/// What to do with a file that holds tables of another program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Neighbours {
    /// It is refused.
    Refused,
    /// The schema goes beside them, where nothing of the two has the same name.
    Welcome,
}

/// The version of the schema; 0 in an empty file. A file that is not ours, or whose schema is too new for
/// this program, is refused.
pub(crate) fn version(connection: &Connection, neighbours: Neighbours) -> Answer<u32> {
    let (application, version, tables): (i64, i64, i64) =
        connection.query_row(HEADER, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    if application == APPLICATION_ID {
        let version = u32::try_from(version).unwrap_or(u32::MAX);
        if version > latest() {
            check(connection, version)?;
        }
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

/// Refuses a schema that does not serve this program: one that is not migrated yet, or is too new.
fn check(connection: &Connection, version: u32) -> Answer<()> {
    // Only a newer schema can exclude this program, and each has had the number since 0003.
    let compatible_from = if version > latest() {
        let mut select =
            connection.prepare_cached("SELECT value FROM meta WHERE name = 'compatible_from'")?;
        select.query_row([], |row| row.get(0))?
    } else {
        version
    };
    Ok(SchemaVersion { version, compatible_from }.check("the file's schema", latest())?)
}

/// Refuses a file whose schema does not serve this program. It may have been opened before its migration, and
/// another process may have migrated it since. Where there is no schema, the statement that misses it fails.
pub(crate) fn check_again(connection: &Connection) -> Answer<()> {
    let mut header = connection.prepare_cached("PRAGMA user_version")?;
    let version: i64 = header.query_row([], |row| row.get(0))?;
    match version {
        0 => Ok(()),
        _ => check(connection, u32::try_from(version).unwrap_or(u32::MAX)),
    }
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
    model.execute_batch(&schema())?;
    Ok(names(connection)?.intersection(&names(&model)?).min().cloned())
}

/// The version this library brings.
pub(crate) fn latest() -> u32 {
    MIGRATIONS.latest()
}

/// Brings the schema up to date, or says where it is; inside the caller's transaction. Where a later release
/// has migrated further, its views fit its schema, and stay.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_migration_may_rebuild_and_rename_what_the_views_read() {
        let connection = Connection::open_in_memory().expect("it opens");
        connection.execute_batch(&statements_after(0)).expect("the schema is made");
        let step = Migration {
            version: latest() + 1,
            name: "rebuild",
            statements: "CREATE TABLE rebuilt AS SELECT * FROM events; DROP TABLE events;
                ALTER TABLE rebuilt RENAME TO events;
                ALTER TABLE ready RENAME COLUMN crashes TO later; ALTER TABLE ready RENAME COLUMN later TO crashes;
                ALTER TABLE jobs ADD COLUMN later TEXT; ALTER TABLE jobs DROP COLUMN later;",
        };

        connection.execute_batch(&written([&step].into_iter())).expect("it is migrated");

        connection.execute_batch("SELECT * FROM outbox_job").expect("the views fit");
    }

    /// SQL has no constants of core.
    #[test]
    fn the_views_hold_the_bounds_of_core() {
        use gristmill_core::{
            MAX_ARGS_BYTES, MAX_METADATA_BYTES, MAX_NAME_BYTES, MAX_TAGS, MAX_UNIQUE_KEY_BYTES, Priority,
            Timestamp,
        };
        let (first, last) = (Priority::FIRST.get(), Priority::LAST.get());
        let name = |member: &str| {
            format!(
                "(length(NEW.{member}) BETWEEN 1 AND {MAX_NAME_BYTES} AND NEW.{member} NOT GLOB '*[^A-Za-z0-9._:/-]*')"
            )
        };
        let bounds = [
            name("kind"),
            name("queue"),
            format!("NEW.priority BETWEEN {first} AND {last}"),
            format!("from {first} (first) to {last} (last)"),
            format!("NEW.max_attempts BETWEEN 1 AND {}", u16::MAX),
            format!("length(CAST(NEW.args AS BLOB)) <= {MAX_ARGS_BYTES}"),
            format!("length(CAST(NEW.unique_key AS BLOB)) NOT BETWEEN 1 AND {MAX_UNIQUE_KEY_BYTES}"),
            format!("json_array_length(NEW.options, '$.tags') > {MAX_TAGS}"),
            format!("length(CAST(json_extract(NEW.options, '$.metadata') AS BLOB)) > {MAX_METADATA_BYTES}"),
            format!("SELECT min({}, coalesce(", Timestamp::MAX.as_millis()),
            format!("WHERE NEW.seq > {}", crate::run_key::LAST_SEQ),
            format!("latest.run_key & {}", crate::run_key::LAST_RUN),
        ];
        for bound in bounds {
            assert!(VIEWS.contains(&bound), "{bound}");
        }
        let instants = VIEWS.matches(&Timestamp::MAX.as_millis().to_string()).count();
        assert_eq!(instants, 3, "each of them is compared");
    }
}
