//! Where the rows and the jobs go.

use anyhow::{Context as _, Result};
use gristmill::{Client, Job, JobFilter, MigrateMode, Postgres};
use gristmill_outbox::Outbox;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::{Connection as _, PgConnection};

use crate::options::Options;

/// Of the jobs.
const SCHEMA: &str = "gristmill_outbox_bench";

/// The user's tables. The plain one has the columns of Gristmill's own for a job and no other index than its
/// key.
const ROWS: &str = "
    CREATE SCHEMA gristmill_outbox_bench_rows;
    CREATE TABLE gristmill_outbox_bench_rows.users (number bigint PRIMARY KEY, name text NOT NULL);
    CREATE TABLE gristmill_outbox_bench_rows.plain (
        id uuid PRIMARY KEY, created_at bigint NOT NULL, queue integer NOT NULL, max_attempts integer NOT NULL,
        priority smallint NOT NULL, kind text NOT NULL, options text, args bytea NOT NULL
    )";
const DROP: &str = "
    DROP SCHEMA IF EXISTS gristmill_outbox_bench_rows CASCADE;
    DROP SCHEMA IF EXISTS gristmill_outbox_bench CASCADE";
const SETTINGS: [&str; 3] = ["server_version", "fsync", "synchronous_commit"];

/// The job of every transaction; the plain insert stores its JSON, too.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Count {
    /// Of the transaction.
    pub(crate) number: i64,
    /// Brings the args to the wanted length.
    pub(crate) filler: String,
}

impl Job for Count {
    const KIND: &'static str = "bench.count";
    type Output = ();
}

/// The schemas of the run.
#[derive(Debug)]
pub(crate) struct Store {
    /// Leads to the jobs.
    pub(crate) outbox: Outbox,
    url: String,
    client: Client,
}

impl Store {
    /// Makes both schemas anew.
    pub(crate) async fn make(options: &Options) -> Result<Self> {
        let backend = Postgres::builder(&options.db)?.schema(SCHEMA).connections(3).open()?;
        let client = Client::new(backend);
        let outbox = Outbox::postgres().schema(SCHEMA);
        let store = Self { outbox, url: options.db.clone(), client };
        store.remove().await?;
        store.client.migrate(MigrateMode::Up).await?;
        sqlx::raw_sql(ROWS)
            .execute(&mut store.connect().await?)
            .await
            .context("the tables cannot be made")?;
        Ok(store)
    }

    /// A connection of the user's.
    pub(crate) async fn connect(&self) -> Result<PgConnection> {
        PgConnection::connect(&self.url).await.context("the server does not answer")
    }

    /// What of the server matters.
    pub(crate) async fn settings(&self) -> Result<Map<String, Value>> {
        let mut connection = self.connect().await?;
        let mut settings = Map::new();
        for name in SETTINGS {
            let query = sqlx::query_scalar("SELECT current_setting($1)").bind(name);
            settings.insert(name.to_owned(), query.fetch_one(&mut connection).await.map(Value::String)?);
        }
        Ok(settings)
    }

    /// How many jobs are stored.
    pub(crate) async fn jobs(&self) -> Result<u64> {
        Ok(self.client.count(JobFilter::new(), None).await?.value)
    }

    /// Drops both schemas.
    pub(crate) async fn remove(&self) -> Result<()> {
        let mut connection = self.connect().await?;
        sqlx::raw_sql(DROP).execute(&mut connection).await.context("the schemas cannot be dropped")?;
        Ok(())
    }
}
