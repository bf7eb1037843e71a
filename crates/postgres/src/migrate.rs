//! The schema: where it is, and how it gets up to date.
//!
//! A schema of ours says so by its table `migrations`, one row a version. All of it happens in one
//! transaction under an advisory lock, so two that migrate at once do it once, and one that is killed has
//! done nothing.

use gristmill_core::{BackendError, BackendErrorKind, Call, MigrateMode, MigrationReport};
use gristmill_sql::{Migration, Migrations, OUTBOX_PROTOCOLS, POSTGRES_COMPATIBLE_FROM, SchemaVersion};

use crate::error::{Answer, undecodable};
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
        name: "0005_registers",
        statements: include_str!("../migrations/0005_registers.sql"),
    },
]);

/// The functions of the outbox, which each migration replaces.
const FUNCTIONS: &str = concat!(
    include_str!("../functions/1_check.sql"),
    include_str!("../functions/2_store.sql"),
    include_str!("../functions/3_enqueue.sql"),
    include_str!("../functions/4_show.sql"),
    include_str!("../functions/5_request.sql"),
    include_str!("../functions/6_rights.sql"),
);

const _: () = assert!(MIGRATIONS.latest() == gristmill_sql::POSTGRES_SCHEMA);

const MIGRATIONS_TABLE: &str = "CREATE TABLE gristmill.migrations (
    version    integer PRIMARY KEY,
    name       text   NOT NULL,
    applied_at bigint NOT NULL
);";

/// What stands in the migrations for the channel of the schema.
const CHANNEL: &str = "gristmill_channel";

/// Grants for other roles. They follow the statements of the schema as comments.
const RIGHTS: &str = include_str!("../migrations/rights.sql");

impl Postgres {
    /// The statements that make the schema of this version in an empty database, with what marks it as ours;
    /// for those who want to read it first, or to run it by hand as another role. In comments behind them are
    /// the rights that a role needs which only works.
    pub fn schema_sql(schema: &str) -> String {
        let text = format!("{MIGRATIONS_TABLE}\n\n{}", statements_after(0));
        let (schema, text, rights) = (quoted(schema), written(&text, schema), in_schema(RIGHTS, schema));
        let rights = rights.replace("SCHEMA gristmill", &format!("SCHEMA {schema}"));
        format!("BEGIN;\nCREATE SCHEMA {schema};\n\n{text}COMMIT;\n\n{rights}")
    }
}

/// The names of the functions and triggers of the schema.
pub(crate) fn functions() -> Vec<&'static str> {
    const STARTS: [&str; 3] =
        ["CREATE FUNCTION gristmill.", "CREATE OR REPLACE FUNCTION gristmill.", "CREATE CONSTRAINT TRIGGER "];
    let made = |line: &'static str| STARTS.iter().find_map(|start| line.strip_prefix(start));
    let texts = MIGRATIONS.after(0).map(|step| step.statements).chain([FUNCTIONS]);
    let lines = texts.flat_map(str::lines).filter_map(made);
    let mut names: Vec<_> = lines.filter_map(|rest| rest.split(['(', ' ']).next()).collect();
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
    // A later release may have migrated further: its functions fit its schema, and stay.
    if *mode == MigrateMode::Status || report.from >= report.latest {
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
    if from < latest() {
        // The functions run with the rights of the owner, who would have none on a table of another role.
        session.execute(sql!("become_owner"), &[&schema]).await?;
        session.batch(&written(&statements_after(from), &schema)).await?;
    }
    session.commit().await?;
    partition::ensure_partitions(&mut session).await?;
    report = MIGRATIONS.report(from);
    report.current = report.latest.max(from);
    inner.names.forget();
    Ok(report)
}

/// The text of migrations for one schema. Its channel is known to us alone.
fn written(text: &str, schema: &str) -> String {
    let text = text.replace(CHANNEL, &notice::channel(schema));
    // Apart, so that a name such as `gristmill.` is not replaced in what was put in its place.
    let parts: Vec<String> = text.split("IN SCHEMA gristmill ").map(|part| in_schema(part, schema)).collect();
    parts.join(&format!("IN SCHEMA {} ", quoted(schema)))
}

/// What brings a schema of this version, older than the latest, up to date.
fn statements_after(version: u32) -> String {
    let steps: Vec<String> = MIGRATIONS.after(version).map(applied).collect();
    format!("{}\n{FUNCTIONS}\n{}", steps.join("\n"), numbers())
}

/// A migration with the row that says it was applied.
fn applied(step: &Migration) -> String {
    let Migration { version, name, statements } = step;
    format!(
        "{statements}\nINSERT INTO gristmill.migrations VALUES ({version}, '{name}', gristmill.now_ms(NULL));\n"
    )
}

/// Says which programs and requests the latest schema serves.
fn numbers() -> String {
    let (oldest, newest) = OUTBOX_PROTOCOLS.into_inner();
    format!(
        "INSERT INTO gristmill.versions VALUES (true, {POSTGRES_COMPATIBLE_FROM}, {oldest}, {newest})
    ON CONFLICT (one) DO UPDATE SET compatible_from = excluded.compatible_from,
        outbox_oldest = excluded.outbox_oldest, outbox_newest = excluded.outbox_newest;\n"
    )
}

/// The version to migrate from; 0 where there is no schema. One that is not ours, or too new for this
/// program, is refused.
async fn version(session: &mut Session) -> Answer<u32> {
    let stored = stored(session).await?;
    if stored.version > latest() {
        stored.check(&shown(session), latest())?;
    }
    Ok(stored.version)
}

/// The version of the schema, if this program may use it.
pub(crate) async fn check(session: &mut Session) -> Answer<u32> {
    let stored = stored(session).await?;
    if stored.version == 0 {
        let schema = session.schema().escape_debug();
        let missing =
            BackendError::new(BackendErrorKind::SchemaOld, format!("the database has no schema `{schema}`"));
        return Err(missing.with_hint("run `gristmill migrate`").into());
    }
    stored.check(&shown(session), latest())?;
    Ok(stored.version)
}

/// What the schema says of itself; version 0 where there is none. One of another program is refused.
async fn stored(session: &mut Session) -> Answer<SchemaVersion> {
    let schema = session.schema().to_owned();
    let row = session.query_one(sql!("schema_state"), &[&schema]).await?;
    let (is_ours, tables): (bool, i64) = (row.try_get(0)?, row.try_get(1)?);
    if !is_ours && tables > 0 {
        let foreign = format!("the schema `{}` holds tables of another program", schema.escape_debug());
        return Err(BackendError::new(BackendErrorKind::Foreign, foreign)
            .with_hint("choose another name for the schema; this one was not changed")
            .into());
    }
    if !is_ours {
        return Ok(SchemaVersion { version: 0, compatible_from: 0 });
    }
    let version = number(session.query_one(sql!("schema_version"), &[]).await?.try_get(0)?)?;
    // Only a newer schema can exclude this program, and each has had the table since 0003.
    let compatible_from = if version > latest() {
        number(session.query_one(sql!("compatible_from"), &[]).await?.try_get(0)?)?
    } else {
        version
    };
    Ok(SchemaVersion { version, compatible_from })
}

pub(crate) fn number(stored: i32) -> Answer<u32> {
    Ok(u32::try_from(stored).map_err(|_| undecodable("version"))?)
}

fn shown(session: &Session) -> String {
    format!("the schema `{}`", session.schema().escape_debug())
}

#[cfg(test)]
mod tests {
    use gristmill_core::{
        DEFAULT_MAX_ATTEMPTS, JobState, MAX_ARGS_BYTES, MAX_ARGS_DEPTH, Priority, Retention, Timestamp,
    };

    use super::*;

    /// The functions cannot import constants, so they are compared here.
    #[test]
    fn the_constants_of_the_functions_are_those_of_core() {
        let kept = |state| Retention::default().of(state).map_or(0, |kept| kept.as_millis());
        let [completed, cancelled, discarded] =
            [JobState::Completed, JobState::Cancelled, JobState::Discarded].map(kept);
        let (first, last) = (Priority::FIRST, Priority::LAST);
        let (most, default) = (u16::MAX, DEFAULT_MAX_ATTEMPTS);
        let wanted = [
            format!("octet_length(job ->> 'args') > {MAX_ARGS_BYTES}"),
            format!("octet_length(args) OPERATOR(pg_catalog.<=) {MAX_ARGS_BYTES}"),
            format!("gristmill.outbox_json(args, 'args', {MAX_ARGS_BYTES})"),
            format!("$.**{{{MAX_ARGS_DEPTH} to last}}"),
            format!("{})::bigint AS due", Timestamp::MAX.as_millis()),
            format!("(given ->> 'delay_ms')::numeric, {})", Timestamp::MAX.as_millis()),
            format!("@ >= {first} && @ <= {last}"),
            format!(
                "@.priority >= {first} && @.priority <= {last} && @.max_attempts >= 1 && @.max_attempts <= {most})'\n        AND (job"
            ),
            format!(
                "@.priority >= {first} && @.priority <= {last} && @.max_attempts >= 1 && @.max_attempts <= {most})'\n        OR (job"
            ),
            format!("(given -> 'max_attempts')::integer, {default})"),
            format!(
                r#"{{"completed_ms":{completed},"cancelled_ms":{cancelled},"discarded_ms":{discarded}}}"#
            ),
        ];
        for text in wanted {
            assert!(FUNCTIONS.contains(&text), "{text}");
        }
    }
}
