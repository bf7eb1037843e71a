//! A client: some lanes that store orders until they are stopped or killed.

use std::io::Read as _;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use gristmill_outbox::{Driver, Outbox};
use gristmill_outbox_sqlx::{Caller, Connection};
use sqlx::{Executor, PgConnection, SqliteConnection};
use tokio::task::LocalSet;

use crate::journal::{Journal, lines};
use crate::lane::{Lane, left_over};

/// Orders of one lane of one client.
const ORDERS: i64 = 1_000_000;
/// Lanes of one client.
const LANES: i64 = 100;

/// What a client is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Of the PostgreSQL database, or the path of the SQLite file.
    pub url: String,
    /// Where it writes down what it does.
    pub journal: PathBuf,
    /// The journal of the one that was killed and whose place it takes.
    pub before: Option<PathBuf>,
    /// Which client it is, of all that are ever started; it begins the numbers of its orders.
    pub incarnation: u32,
    /// How many connections it has.
    pub lanes: u32,
    /// The longest pause between two steps.
    pub pause: Duration,
}

impl Settings {
    /// The arguments of the program.
    pub fn to_arguments(&self) -> Vec<String> {
        let before = self.before.as_ref().map_or_else(String::new, |path| path.display().to_string());
        [
            self.url.clone(),
            self.journal.display().to_string(),
            before,
            self.incarnation.to_string(),
            self.lanes.to_string(),
            self.pause.as_micros().to_string(),
        ]
        .into()
    }

    /// Reads [`Self::to_arguments`].
    ///
    /// # Errors
    /// When they are others.
    pub fn from_arguments(arguments: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut arguments = arguments.into_iter();
        let mut next = |what: &str| arguments.next().with_context(|| format!("no {what}"));
        Ok(Self {
            url: next("URL")?,
            journal: next("journal")?.into(),
            before: Some(next("journal before")?).filter(|path| !path.is_empty()).map(PathBuf::from),
            incarnation: next("incarnation")?.parse()?,
            lanes: next("lanes")?.parse()?,
            pause: Duration::from_micros(next("pause")?.parse()?),
        })
    }

    /// The number of the first order of a lane.
    pub(crate) fn first_order(&self, lane: u32) -> i64 {
        (i64::from(self.incarnation) * LANES + i64::from(lane)) * ORDERS
    }
}

/// Stores orders until the standard input ends: its owner wants it to stop, or is gone.
///
/// # Errors
/// When the journal cannot be made.
pub fn run(settings: Settings) -> Result<()> {
    let is_stopping = Arc::new(AtomicBool::new(false));
    let stops = Arc::clone(&is_stopping);
    std::thread::spawn(move || {
        drop(std::io::stdin().read_to_end(&mut Vec::new()));
        stops.store(true, Ordering::Relaxed);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if settings.url.starts_with("postgres") {
        runtime.block_on(store_orders::<PgConnection>(settings, Outbox::postgres(), "BEGIN", is_stopping))
    } else {
        let begin = "BEGIN IMMEDIATE";
        runtime.block_on(store_orders::<SqliteConnection>(settings, Outbox::sqlite(), begin, is_stopping))
    }
}

async fn store_orders<C>(
    settings: Settings,
    outbox: Outbox,
    begin: &'static str,
    is_stopping: Arc<AtomicBool>,
) -> Result<()>
where
    C: sqlx::Connection + Caller<Connection = C> + 'static,
    C::Database: sqlx::Database<Connection = C>,
    for<'c> &'c mut C: Executor<'c, Database = C::Database>,
    for<'c> Connection<'c, C>: Driver,
{
    let before = settings.before.as_deref().map(lines).unwrap_or_default();
    let journal = Rc::new(Journal::create(&settings.journal).context("the journal cannot be made")?);
    let settings = Rc::new(settings);
    let lanes = LocalSet::new();
    for number in 0..settings.lanes {
        let left_over = left_over(&before, number);
        let lane = Lane::<C>::new(
            Rc::clone(&settings),
            number,
            outbox.clone(),
            begin,
            Rc::clone(&journal),
            Arc::clone(&is_stopping),
        );
        lanes.spawn_local(lane.run(left_over));
    }
    lanes.await;
    Ok(())
}
