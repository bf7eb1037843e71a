//! The schema: where it is, and how it gets up to date.
//!
//! A schema of ours says so by its table `migrations`, one row a version. All of it happens in one transaction under an
//! advisory lock, so two that migrate at once do it once, and one that is killed has done nothing.

use gristmill_core::{BackendError, BackendErrorKind, Call, MigrateMode, MigrationReport};
use gristmill_sql::{Migration, Migrations};

use crate::error::{Answer, Fail, undecodable};
use crate::handle::{Inner, Postgres};
use crate::notice;
use crate::partition;
use crate::session::Session;
use crate::statement::{in_schema, quoted, sql};

const MIGRATIONS: Migrations = Migrations(&[
    Migration {
        version: 1,
        name: "0001_initial",
        statements: include_str!("../migrations/0001_initial.sql"),
    },
    Migration {
        version: 2,
        name: "0002_outbox",
        statements: concat!(
            include_str!("../migrations/0002_outbox/1_check.sql"),
            include_str!("../migrations/0002_outbox/2_store.sql"),
            include_str!("../migrations/0002_outbox/3_enqueue.sql"),
            include_str!("../migrations/0002_outbox/4_act.sql"),
            include_str!("../migrations/0002_outbox/5_operate.sql"),
            include_str!("../migrations/0002_outbox/6_rights.sql"),
        ),
    },
]);

// The outbox asks for the version that this backend brings.
const _: () = assert!(MIGRATIONS.latest() == gristmill_sql::POSTGRES_SCHEMA);

const MIGRATIONS_TABLE: &str = "CREATE TABLE gristmill.migrations (
    version    integer PRIMARY KEY,
    name       text   NOT NULL,
    applied_at bigint NOT NULL
);";

/// What stands in the migrations for the channel of the schema.
const CHANNEL: &str = "gristmill_channel";

/// As comments, for whoever reads the statements.
const RIGHTS: &str = include_str!("../migrations/rights.sql");

impl Postgres {
    /// The statements that make the schema of this version in an empty database, with what marks it as ours; for those
    /// who want to read it first, or to run it by hand as another role. In comments behind them are the rights that a
    /// role needs which only works.
    pub fn schema_sql(schema: &str) -> String {
        let steps: Vec<String> = MIGRATIONS.after(0).map(applied).collect();
        let text = format!("{MIGRATIONS_TABLE}\n\n{}", steps.join("\n"));
        let (schema, text, rights) = (quoted(schema), written(&text, schema), in_schema(RIGHTS, schema));
        let rights = rights.replace("SCHEMA gristmill", &format!("SCHEMA {schema}"));
        format!("BEGIN;\nCREATE SCHEMA {schema};\n\n{text}COMMIT;\n\n{rights}")
    }
}

/// The names of the functions and triggers that the migrations make.
pub(crate) fn functions() -> Vec<&'static str> {
    let mut names = Vec::new();
    for Migration { statements, .. } in MIGRATIONS.after(0) {
        let made = |line: &'static str| {
            let function = line.strip_prefix("CREATE FUNCTION gristmill.");
            function.or_else(|| line.strip_prefix("CREATE CONSTRAINT TRIGGER "))
        };
        names.extend(statements.lines().filter_map(made).filter_map(|rest| rest.split(['(', ' ']).next()));
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// The version this library brings.
pub(crate) fn latest() -> u32 {
    MIGRATIONS.latest()
}

pub(crate) async fn migrate(inner: &Inner, _call: Call, mode: &MigrateMode) -> Answer<MigrationReport> {
    let mut session = inner.unchecked().await?;
    let mut report = MIGRATIONS.report(version(&mut session).await?);
    if *mode == MigrateMode::Status || report.from == report.latest {
        return Ok(report);
    }
    let encoding: String = session.query_one(sql!("encoding"), &[]).await?.try_get(0)?;
    if encoding != "UTF8" {
        let message =
            format!("the database has the encoding {encoding}, in which not every text can be stored");
        let hint = "make one with `createdb --encoding=UTF8 --template=template0 NAME`";
        return Err(BackendError::new(BackendErrorKind::Refused, message).with_hint(hint).into());
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
    for step in MIGRATIONS.after(from) {
        session.batch(&written(&applied(step), &schema)).await?;
    }
    session.commit().await?;
    partition::ensure_partitions(&mut session).await?;
    report = MIGRATIONS.report(from);
    report.current = report.latest;
    inner.names.forget();
    Ok(report)
}

/// The text of migrations for one schema. Its channel is known to us alone.
fn written(text: &str, schema: &str) -> String {
    in_schema(&text.replace(CHANNEL, &notice::channel(schema)), schema)
}

/// A migration with the row that says it was applied.
fn applied(step: &Migration) -> String {
    let Migration { version, name, statements } = step;
    format!(
        "{statements}\nINSERT INTO gristmill.migrations VALUES ({version}, '{name}', gristmill.now_ms(NULL));\n"
    )
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
    Ok(MIGRATIONS.known(version)?)
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
