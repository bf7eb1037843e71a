//! The server: connections, tables, and what it has spent.

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client, NoTls, Notification};

use super::cost::{Cost, server_cpu};
use crate::options::Options;

const SCHEMA: &str = include_str!("schema.sql");
/// Everything lies here, and goes with it.
const MAKE_SCHEMA: &str = "
    DROP SCHEMA IF EXISTS gristmill_floors CASCADE;
    CREATE SCHEMA gristmill_floors;
    SET search_path = gristmill_floors";
const DROP_SCHEMA: &str = "DROP SCHEMA gristmill_floors CASCADE";
/// A generic plan is what every statement here needs, and JIT would compile what runs for a millisecond.
const SESSION: &str = "
    SET search_path = gristmill_floors;
    SET jit = off;
    SET plan_cache_mode = force_generic_plan";
const SETTINGS: [&str; 5] =
    ["server_version", "fsync", "synchronous_commit", "shared_buffers", "max_wal_size"];

/// An empty queue in a schema of its own.
#[derive(Debug)]
pub(super) struct Server {
    url: String,
    control: Client,
}

impl Server {
    /// Makes the tables anew.
    pub(super) async fn prepare(options: &Options) -> Result<Self> {
        let url =
            options.db.clone().context("this floor needs a database; name one with --db postgres://…")?;
        let (control, _) = connect(&url).await?;
        control.batch_execute(MAKE_SCHEMA).await.context("the schema cannot be made")?;
        control.batch_execute(SCHEMA).await.context("the tables cannot be made")?;
        Ok(Self { url, control })
    }

    /// Opens another connection, with the notifications it will get.
    pub(super) async fn connect(&self) -> Result<(Client, UnboundedReceiver<Notification>)> {
        let (client, notifications) = connect(&self.url).await?;
        client.batch_execute(SESSION).await.context("the session cannot be set up")?;
        Ok((client, notifications))
    }

    /// The connection that no measured statement uses.
    pub(super) fn control(&self) -> &Client {
        &self.control
    }

    /// What the server has spent so far.
    pub(super) async fn cost(&self) -> Result<Cost> {
        const SPENT: &str = "
            SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::float8, pg_backend_pid()";
        let row = self.control.query_one(SPENT, &[]).await?;
        Ok(Cost { wal_bytes: row.try_get(0)?, cpu: server_cpu(row.try_get(1)?) })
    }

    /// Writes out what is old, so that no checkpoint of it falls into the measurement. Left out where the
    /// user may not.
    pub(super) async fn checkpoint(&self) -> Result<()> {
        match self.control.batch_execute("CHECKPOINT").await {
            Err(error) if error.code() != Some(&SqlState::INSUFFICIENT_PRIVILEGE) => Err(error.into()),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// How many rows a table holds.
    pub(super) async fn count(&self, table: &str) -> Result<u32> {
        let row = self.control.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await?;
        Ok(u32::try_from(row.try_get::<_, i64>(0)?)?)
    }

    /// A connection whose transaction keeps every row version from now on from being cleaned away.
    pub(super) async fn hold_snapshot(&self) -> Result<Client> {
        let (client, _) = self.connect().await?;
        client
            .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT count(*) FROM ready")
            .await?;
        Ok(client)
    }

    /// The settings every mode shares.
    pub(super) async fn settings(&self, options: &Options) -> Result<Map<String, Value>> {
        let mut settings = Map::from_iter([("batch".to_owned(), json!(options.batch))]);
        for name in SETTINGS {
            let row = self.control.query_one("SELECT current_setting($1)", &[&name]).await?;
            settings.insert(name.to_owned(), json!(row.try_get::<_, String>(0)?));
        }
        Ok(settings)
    }

    /// Drops the tables.
    pub(super) async fn drop_tables(self) -> Result<()> {
        self.control.batch_execute(DROP_SCHEMA).await.context("the schema cannot be dropped")
    }
}

async fn connect(url: &str) -> Result<(Client, UnboundedReceiver<Notification>)> {
    let (client, mut connection) =
        tokio_postgres::connect(url, NoTls).await.context("the server of --db cannot be reached")?;
    let (sender, notifications) = unbounded_channel();
    tokio::spawn(async move {
        // Ends with the client; what goes wrong before, the statement under way reports.
        while let Some(Ok(message)) = std::future::poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(notification) = message {
                // Most connections listen to nothing and drop the other end.
                sender.send(notification).ok();
            }
        }
    });
    Ok((client, notifications))
}
