//! The schema: where it is, and how it gets up to date.
//!
//! A schema of ours says so by its table `migrations`, one row a version. All of it happens in one transaction under an
//! advisory lock, so two that migrate at once do it once, and one that is killed has done nothing.

use gristmill_core::{BackendError, BackendErrorKind, Call, MigrateMode, MigrationReport};

use crate::error::{Answer, Fail, undecodable};
use crate::handle::{Inner, Postgres};
use crate::partition;
use crate::session::Session;
use crate::statement::{in_schema, quoted, sql};

/// Name and statements of each version, the first one first.
const MIGRATIONS: [(&str, &str); 1] = [("0001_initial", include_str!("../migrations/0001_initial.sql"))];

const MIGRATIONS_TABLE: &str = "CREATE TABLE gristmill.migrations (
    version    integer PRIMARY KEY,
    name       text   NOT NULL,
    applied_at bigint NOT NULL
);";

/// As comments, for whoever reads the statements.
const RIGHTS: &str = include_str!("../migrations/rights.sql");

impl Postgres {
    /// The statements that make the schema of this version in an empty database, with what marks it as ours; for those
    /// who want to read it first, or to run it by hand as another role. In comments behind them are the rights that a role
    /// needs which only works.
    pub fn schema_sql(schema: &str) -> String {
        let steps: Vec<String> = (0..).zip(MIGRATIONS).map(|(place, step)| applied(place, step)).collect();
        let text = format!("{MIGRATIONS_TABLE}\n\n{}", steps.join("\n"));
        let (schema, text, rights) = (quoted(schema), in_schema(&text, schema), in_schema(RIGHTS, schema));
        let rights = rights.replace("SCHEMA gristmill", &format!("SCHEMA {schema}"));
        format!("BEGIN;\nCREATE SCHEMA {schema};\n\n{text}COMMIT;\n\n{rights}")
    }
}

/// The version this library brings.
pub(crate) fn latest() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

pub(crate) async fn migrate(inner: &Inner, _call: Call, mode: &MigrateMode) -> Answer<MigrationReport> {
    let mut session = inner.unchecked().await?;
    let mut report = report(version(&mut session).await?);
    if *mode == MigrateMode::Status || report.from == report.latest {
        return Ok(report);
    }
    session.begin().await?;
    session.execute(sql!("lock_migrations"), &[&session.schema().to_owned()]).await?;
    // Another one may have migrated while this one waited for the lock.
    let from = version(&mut session).await?;
    let schema = session.schema().to_owned();
    if from == 0 {
        // Who was given an empty schema need not be allowed to make one.
        let state = session.query_one(sql!("schema_state"), &[&schema]).await?;
        if !state.try_get::<_, bool>(2)? {
            session.batch(&format!("CREATE SCHEMA {}", quoted(&schema))).await?;
        }
        session.batch(&in_schema(MIGRATIONS_TABLE, &schema)).await?;
    }
    for (place, step) in (0..).zip(MIGRATIONS).skip(from as usize) {
        session.batch(&in_schema(&applied(place, step), &schema)).await?;
    }
    session.commit().await?;
    partition::ensure_partitions(&mut session).await?;
    report.from = from;
    report.steps = steps_from(from);
    report.current = latest();
    inner.names.forget();
    Ok(report)
}

/// A migration with the row that says it was applied.
fn applied(place: u32, (name, statements): (&str, &str)) -> String {
    let version = place + 1;
    format!(
        "{statements}\nINSERT INTO gristmill.migrations VALUES ({version}, '{name}', gristmill.now_ms(NULL));\n"
    )
}

fn steps_from(version: u32) -> Vec<String> {
    MIGRATIONS.iter().skip(version as usize).map(|(name, _)| (*name).to_owned()).collect()
}

fn report(from: u32) -> MigrationReport {
    let mut report = MigrationReport::default();
    report.from = from;
    report.current = from;
    report.latest = latest();
    report.steps = steps_from(from);
    report
}

/// The version of the schema; 0 where there is none. One that is not ours, or that a newer version made, is refused.
pub(crate) async fn version(session: &mut Session) -> Answer<u32> {
    let schema = session.schema().to_owned();
    let row = session.query_one(sql!("schema_state"), &[&schema]).await?;
    let (is_ours, tables): (bool, i64) = (row.try_get(0)?, row.try_get(1)?);
    if !is_ours && tables > 0 {
        let foreign = format!("the schema `{}` holds tables of another program", schema.escape_debug());
        return Err(Fail::Refused(
            BackendError::new(BackendErrorKind::Foreign, foreign)
                .with_hint("choose another name for the schema; this one was not changed"),
        ));
    }
    if !is_ours {
        return Ok(0);
    }
    let row = session.query_one(sql!("schema_version"), &[]).await?;
    let version = u32::try_from(row.try_get::<_, i32>(0)?).map_err(|_| undecodable("version"))?;
    if version > latest() {
        let newer = format!("the schema has version {version}, this program knows {} at most", latest());
        return Err(Fail::Refused(
            BackendError::new(BackendErrorKind::SchemaNew, newer)
                .with_hint("upgrade this program to the version that migrated the schema, or a later one"),
        ));
    }
    Ok(version)
}

/// An error unless the schema has this library's version.
pub(crate) async fn check(session: &mut Session) -> Answer<()> {
    let version = version(session).await?;
    if version == latest() {
        return Ok(());
    }
    let schema = session.schema().escape_debug().to_string();
    let message = if version == 0 {
        format!("the database has no schema `{schema}`")
    } else {
        format!("the schema `{schema}` has version {version}, this program needs {}", latest())
    };
    Err(Fail::Refused(
        BackendError::new(BackendErrorKind::SchemaOld, message).with_hint("run `gristmill migrate`"),
    ))
}
