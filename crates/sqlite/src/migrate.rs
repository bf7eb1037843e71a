//! The schema: where it is, and how it gets up to date.
//!
//! A file of ours says so in its header (`application_id`), with the version of its schema (`user_version`), so nothing
//! is taken for ours by the names of its tables.

use gristmill_core::{BackendError, BackendErrorKind, MigrateMode, MigrationReport};
use gristmill_sql::{Migration, Migrations};
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
]);

// The outbox asks for the version that this backend brings.
const _: () = assert!(MIGRATIONS.latest() == gristmill_sql::SQLITE_SCHEMA);

impl Sqlite {
    /// The statements that make the schema of this version in an empty file, with what marks the file as ours; for
    /// those who want to read it first.
    pub fn schema() -> String {
        let statements: Vec<&str> = MIGRATIONS.after(0).map(|step| step.statements.trim_end()).collect();
        let (statements, latest) = (statements.join("\n\n"), latest());
        format!(
            "{statements}\n\nPRAGMA application_id = {APPLICATION_ID};\nPRAGMA user_version = {latest};\n"
        )
    }
}

/// What the header of a file says, and whether there is more than the header: one statement, so that it is one state of
/// the file, which another process may be making just now.
const HEADER: &str = "SELECT a.application_id, v.user_version, (SELECT count(*) FROM sqlite_schema)
FROM pragma_application_id AS a, pragma_user_version AS v";

/// The version of the schema; 0 in an empty file. A file that is not ours, or that a newer version made, is refused.
pub(crate) fn version(connection: &Connection) -> Answer<u32> {
    let (application, version, tables): (i64, i64, i64) =
        connection.query_row(HEADER, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    if application != APPLICATION_ID && (tables > 0 || application != 0) {
        let foreign = "the file is a database of another program";
        return Err(Fail::Refused(
            BackendError::new(BackendErrorKind::Foreign, foreign)
                .with_hint("name another file; this one was not changed"),
        ));
    }
    Ok(MIGRATIONS.known(u32::try_from(version).unwrap_or(u32::MAX))?)
}

/// The version this library brings.
pub(crate) fn latest() -> u32 {
    MIGRATIONS.latest()
}

/// Brings the schema up to date, or says where it is; inside the caller's transaction.
pub(crate) fn migrate(connection: &Connection, mode: MigrateMode) -> Answer<MigrationReport> {
    let from = version(connection)?;
    let mut report = MIGRATIONS.report(from);
    if mode == MigrateMode::Up && from < latest() {
        for step in MIGRATIONS.after(from) {
            connection.execute_batch(step.statements)?;
        }
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        connection.pragma_update(None, "user_version", latest())?;
        report.current = latest();
    }
    Ok(report)
}
