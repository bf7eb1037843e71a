//! How often an enqueue waits for the server.

use std::net::ToSocketAddrs as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use gristmill_testserver::FaultProxy;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};

use crate::options::Options;
use crate::store::Store;
use crate::transactions::User;

/// How often it is counted.
const TIMES: u64 = 20;

/// Requests of enqueues, a request being all that a client sends before it waits for an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RoundTrips {
    /// The most of one whose statement is prepared.
    pub(crate) most: u64,
    /// Of a connection's first one, which also prepares its statement.
    pub(crate) first: u64,
    /// How many jobs were enqueued.
    pub(crate) enqueued: u64,
}

/// Counts what passes between a connection and the server.
pub(crate) async fn count(store: &Store, options: &Options) -> Result<RoundTrips> {
    let parsed: PgConnectOptions = options.db.parse().context("the URL cannot be read")?;
    let mut addresses = (parsed.get_host(), parsed.get_port()).to_socket_addrs()?;
    let proxy = FaultProxy::start(addresses.next().context("the server's host has no address")?);
    let requests = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&requests);
    // It looks at every request and loses none.
    proxy.lose_next_reply_to(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        false
    });
    let connection = PgConnection::connect(&proxy.url_through(&options.db)).await?;
    let mut user = User::new(connection, store.outbox.clone(), options.args_bytes)?;
    let mut trips = Vec::new();
    for _ in 0..=TIMES {
        let before = requests.load(Ordering::SeqCst);
        user.enqueue().await?;
        trips.push(requests.load(Ordering::SeqCst) - before);
    }
    let most = trips.iter().skip(1).copied().max().context("nothing was counted")?;
    Ok(RoundTrips { most, first: trips[0], enqueued: TIMES + 1 })
}
