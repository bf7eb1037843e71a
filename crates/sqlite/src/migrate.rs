//! The schema: where it is, and how it gets up to date.
//!
//! A file of ours says so in its header (`application_id`), with the version of its schema (`user_version`), so nothing
//! is taken for ours by the names of its tables.

use gristmill_core::{BackendError, BackendErrorKind, MigrateMode, MigrationReport};
use rusqlite::Connection;

use crate::error::{Answer, Fail};
use crate::handle::Sqlite;

/// `GRML`, as bytes.
const APPLICATION_ID: i64 = 0x4752_4d4c;

/// Name and statements of each version, the first one first.
const MIGRATIONS: [(&str, &str); 1] = [("0001_initial", include_str!("../migrations/0001_initial.sql"))];

impl Sqlite {
    /// The statements that make the schema of this version in an empty file, with what marks the file as ours; for
    /// those who want to read it first.
    pub fn schema() -> String {
        let statements: Vec<&str> = MIGRATIONS.iter().map(|(_, statements)| statements.trim_end()).collect();
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
    let version = u32::try_from(version).unwrap_or(u32::MAX);
    if version > latest() {
        let newer = format!("the schema has version {version}, this program knows {} at most", latest());
        return Err(Fail::Refused(
            BackendError::new(BackendErrorKind::SchemaNew, newer)
                .with_hint("upgrade this program to the version that migrated the file, or a later one"),
        ));
    }
    Ok(version)
}

/// The version this library brings.
pub(crate) fn latest() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

/// Brings the schema up to date, or says where it is; inside the caller's transaction.
pub(crate) fn migrate(connection: &Connection, mode: MigrateMode) -> Answer<MigrationReport> {
    let from = version(connection)?;
    let missing = MIGRATIONS.iter().skip(from as usize);
    let mut report = MigrationReport::default();
    report.from = from;
    report.current = from;
    report.latest = latest();
    report.steps = missing.clone().map(|(name, _)| (*name).to_owned()).collect();
    if mode == MigrateMode::Up && from < latest() {
        for (_, statements) in missing {
            connection.execute_batch(statements)?;
        }
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        connection.pragma_update(None, "user_version", latest())?;
        report.current = latest();
    }
    Ok(report)
}
