//! Pools of connections, and how a connection is made.

use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::QueueMode;
use deadpool_postgres::{Hook, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime};
use gristmill_core::{BackendError, BackendErrorKind};
use tokio::runtime::Handle;
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

use crate::apart::manager_on;
use crate::cleanup::Cleanup;
use crate::dial::Dial;
use crate::error::{Fail, of_postgres, unavailable};
use crate::options::PostgresBuilder;
use crate::servers::Servers;
use crate::session::Naming;
use crate::shares::Shares;
use crate::tls;

/// How long a connection stays open that is not used.
const LONGEST_UNUSED: Duration = Duration::from_secs(60);
/// How often that is looked at.
pub(crate) const LOOK: Duration = Duration::from_secs(5);

/// The pools of a backend.
pub(crate) struct Pools {
    pub(crate) shares: Shares,
    pub(crate) work: Pool,
    pub(crate) control: Pool,
    /// The one for work, where reads have none.
    pub(crate) reads: Pool,
    /// Where handlers have connections.
    pub(crate) handlers: Option<Pool>,
    /// For what needs a connection of its own.
    pub(crate) dial: Dial,
    pub(crate) cleanup: Cleanup,
}

/// Settings of every connection of ours, sent when it starts. A statement waits for a lock for one turn at
/// most. A transaction that was left open gives up its locks after 30 s, sooner where a lease is shorter
/// (`session/settings.rs`). Generic plans save planning time, because the statements never change shape. JIT
/// is off, because compiling costs more than running them. Notices are off: the driver would log them.
const SETTINGS: &str = "-c lock_timeout=200 -c idle_in_transaction_session_timeout=30000 -c jit=off \
    -c plan_cache_mode=force_generic_plan -c default_transaction_isolation=read\\ committed \
    -c standard_conforming_strings=on -c statement_timeout=0 -c client_min_messages=warning";
/// Statements find each row by an index, whatever the statistics say: they were taken while the table was
/// empty, or full. Without these settings a plan once turned into a scan of all jobs. A bitmap is made of all
/// that an index finds, even where a few are wanted.
const BY_INDEX: &str =
    "-c enable_seqscan=off -c enable_bitmapscan=off -c enable_hashjoin=off -c enable_mergejoin=off";

/// `apart` is where the connections for heartbeats live.
pub(crate) fn pools(
    builder: &PostgresBuilder,
    apart: &Handle,
    servers: &Arc<Servers>,
) -> Result<Pools, BackendError> {
    let mut config = builder.config.clone();
    config.connect_timeout(builder.connect_timeout);
    config.keepalives(true);
    // A server that is gone without a word is noticed within a lease.
    config.tcp_user_timeout(std::time::Duration::from_secs(15));
    config.keepalives_idle(std::time::Duration::from_secs(10));
    if config.get_application_name().is_none() {
        config.application_name("gristmill");
    }
    let ours = with_settings(&config, builder.naming, &[SETTINGS, BY_INDEX]);
    let plain = with_settings(&config, builder.naming, &[]);
    let listens = builder.naming == Naming::Prepared;
    let shares = Shares::of(builder.connections, builder.handler_connections, listens)?;
    let pool = |config, size, recycling, home| pool(config, builder, size, recycling, home, servers);
    let work = pool(ours.clone(), shares.work, RecyclingMethod::Fast, None)?;
    let control = pool(ours.clone(), shares.control, RecyclingMethod::Fast, Some(apart))?;
    let reads = match shares.reads {
        0 => work.clone(),
        reads => pool(ours, reads, RecyclingMethod::Fast, None)?,
    };
    let handlers = match shares.handlers {
        0 => None,
        // What a handler has set, locked or made for its session is not the next one's.
        handlers => Some(pool(plain, handlers, RecyclingMethod::Clean, None)?),
    };
    Ok(Pools {
        shares,
        work,
        control,
        reads,
        handlers,
        cleanup: Cleanup::new(&config, builder.naming, builder.verifies)?,
        dial: Dial { config, verifies: builder.verifies },
    })
}

/// A pooler refuses settings it does not know.
fn with_settings(config: &Config, naming: Naming, settings: &[&str]) -> Config {
    let mut config = config.clone();
    if naming == Naming::Prepared && !settings.is_empty() {
        let given = config.get_options().unwrap_or_default().to_owned();
        config.options([settings.join(" "), given].join(" ").trim());
    }
    config
}

fn pool(
    config: Config,
    builder: &PostgresBuilder,
    size: usize,
    recycling_method: RecyclingMethod,
    home: Option<&Handle>,
    servers: &Arc<Servers>,
) -> Result<Pool, BackendError> {
    let recycling = ManagerConfig { recycling_method };
    let here = Handle::current();
    let home = home.unwrap_or(&here);
    let manager = match config.get_ssl_mode() {
        SslMode::Disable => manager_on(home, config, tokio_postgres::NoTls, recycling),
        _ => manager_on(home, config, tls::connector(builder.verifies)?, recycling),
    };
    // All of it, what the server has to say to a new connection included: the driver's own bound ends before
    // that.
    let patience = Some(builder.connect_timeout);
    let mut pool = Pool::builder(manager).max_size(size).runtime(Runtime::Tokio1);
    // The one that was used last, so that those that are not needed are not used.
    pool = pool.queue_mode(QueueMode::Lifo);
    if builder.naming == Naming::Prepared {
        let servers = Arc::clone(servers);
        pool = pool.post_create(Hook::async_fn(move |client, _| {
            let servers = Arc::clone(&servers);
            Box::pin(async move {
                servers.look(client).await;
                Ok(())
            })
        }));
    }
    let pool = pool.create_timeout(patience).recycle_timeout(patience).build();
    pool.map_err(|error| {
        BackendError::new(BackendErrorKind::Internal, "the pool of connections cannot be made")
            .with_source(error)
    })
}

/// Closes connections that are not used; to be called now and then.
pub(crate) fn close_unused<'p>(pools: impl IntoIterator<Item = &'p Pool>) {
    for pool in pools {
        pool.retain(|_, metrics| metrics.last_used() < LONGEST_UNUSED);
    }
}

/// Says why there is no connection. Nothing was sent, so nothing was changed.
pub(crate) fn of_pool(error: PoolError) -> Fail {
    Fail::Refused(match error {
        PoolError::Backend(error) if error.as_db_error().is_some() || tls::is_distrust(&error) => {
            of_postgres(error)
        }
        PoolError::Backend(error) => unavailable("the server cannot be reached").with_source(error),
        other => unavailable("no connection can be had").with_source(other),
    })
}
