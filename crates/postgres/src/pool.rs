//! Pools of connections, and how a connection is made.

use deadpool_postgres::{ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime};
use gristmill_core::{BackendError, BackendErrorKind};
use tokio::runtime::Handle;
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

use crate::apart::manager_on;
use crate::dial::Dial;
use crate::error::{Fail, of_postgres, unavailable};
use crate::options::PostgresBuilder;
use crate::session::Naming;
use crate::tls;

/// Connections for heartbeats: one that beats, one that registers or retires meanwhile.
const CONTROL: usize = 2;
/// Connections for the inspection.
const READS: usize = 2;

/// The pools of a backend.
pub(crate) struct Pools {
    pub(crate) work: Pool,
    pub(crate) control: Pool,
    pub(crate) reads: Pool,
    pub(crate) handlers: Pool,
    /// For what needs a connection of its own.
    pub(crate) dial: Dial,
}

/// What every connection of ours is told when it starts. A transaction that was left open gives up its locks, sooner where a
/// lease is shorter (`session/settings.rs`); a generic plan spares the planning of statements whose shape never changes; compiling them costs more than they do.
const SETTINGS: &str =
    "-c idle_in_transaction_session_timeout=30000 -c jit=off -c plan_cache_mode=force_generic_plan";
/// Statements find each row by an index, whatever the statistics say: they were taken while the table was empty, or full.
/// Without these settings a plan once turned into a scan of all jobs. A bitmap is made of all that an index finds, even where
/// a few are wanted.
const BY_INDEX: &str =
    "-c enable_seqscan=off -c enable_bitmapscan=off -c enable_hashjoin=off -c enable_mergejoin=off";

/// `apart` is where the connections for heartbeats live.
pub(crate) fn pools(builder: &PostgresBuilder, apart: &Handle) -> Result<Pools, BackendError> {
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
    Ok(Pools {
        work: pool(ours.clone(), builder, builder.connections, RecyclingMethod::Fast, None)?,
        control: pool(ours.clone(), builder, CONTROL, RecyclingMethod::Fast, Some(apart))?,
        reads: pool(ours, builder, READS, RecyclingMethod::Fast, None)?,
        // What a handler has set, locked or made for its session is not the next one's.
        handlers: pool(plain, builder, builder.handler_connections, RecyclingMethod::Clean, None)?,
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
) -> Result<Pool, BackendError> {
    let recycling = ManagerConfig { recycling_method };
    let here = Handle::current();
    let home = home.unwrap_or(&here);
    let manager = match config.get_ssl_mode() {
        SslMode::Disable => manager_on(home, config, tokio_postgres::NoTls, recycling),
        _ => manager_on(home, config, tls::connector(builder.verifies)?, recycling),
    };
    // All of it, what the server has to say to a new connection included: the driver's own bound ends before that.
    let patience = Some(builder.connect_timeout);
    let pool = Pool::builder(manager).max_size(size).runtime(Runtime::Tokio1);
    let pool = pool.create_timeout(patience).recycle_timeout(patience).build();
    pool.map_err(|error| {
        BackendError::new(BackendErrorKind::Internal, "the pool of connections cannot be made")
            .with_source(error)
    })
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
