//! Ends what a dropped call has left on a connection.
//!
//! The future of a call may be dropped at any moment, by its deadline in most cases. Closing its connection
//! would not end its statement: a server notices a closed connection only when it reads or writes, so a
//! statement that waits for a lock would stay, with its connection, until the lock is free. So the statement
//! is cancelled first. A transaction between two statements is rolled back, and its connection is used again.

use std::time::Duration;

use deadpool_postgres::Object;
use gristmill_core::BackendError;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};
use tokio_postgres::config::SslMode;
use tokio_postgres::{CancelToken, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::session::Naming;
use crate::tls;

/// How long a connection keeps its place in the pool meanwhile.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long a statement is tried to be cancelled. A server that is not reached for longer has lost the
/// connection, too.
const LONGEST: Duration = Duration::from_secs(15);
/// The first wait for a cancelled statement to end; each further one is twice as long. A request that comes
/// before its statement has begun does nothing, so it is repeated.
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// Ends statements and transactions of dropped calls, in tasks of its own.
#[derive(Clone)]
pub(crate) struct Cleanup {
    runtime: Handle,
    tls: Option<MakeRustlsConnect>,
    naming: Naming,
}

impl Cleanup {
    pub(crate) fn new(config: &Config, naming: Naming, verifies: bool) -> Result<Self, BackendError> {
        let tls = match config.get_ssl_mode() {
            SslMode::Disable => None,
            _ => Some(tls::connector(verifies)?),
        };
        Ok(Self { runtime: Handle::current(), tls, naming })
    }

    /// Cancels the statement in flight, then closes the connection: a request that comes late must not hit
    /// the next user.
    ///
    /// Behind a transaction pooler the statement has a timeout instead, see `settings.rs`: PgBouncer 1.18
    /// crashes when a client closes its request for a cancel early, which the driver does.
    pub(crate) fn cancel(&self, object: Object) {
        if self.naming == Naming::Unnamed {
            drop(Object::take(object));
            return;
        }
        let cleanup = self.clone();
        self.runtime.spawn(async move {
            let token = object.cancel_token();
            let begun = Instant::now();
            if timeout(PATIENCE, cleanup.end(&token, object.batch_execute("ROLLBACK"))).await.is_ok() {
                drop(Object::take(object));
                return;
            }
            // The place is needed, and the server may not be reached at all.
            let client = Object::take(object);
            let rest = LONGEST.saturating_sub(begun.elapsed());
            if timeout(rest, cleanup.end(&token, client.batch_execute("ROLLBACK"))).await.is_err() {
                gristmill_core::log!(debug, "the statement of a dropped call may still run on the server");
            }
        });
    }

    /// Asks for the cancel until the statement has ended, which the answer to the next one shows.
    async fn end<T>(&self, token: &CancelToken, next: impl Future<Output = T>) {
        let mut next = std::pin::pin!(next);
        let mut wait = FIRST_WAIT;
        loop {
            let request = async {
                // An error says no more than that the server was not reached; the next try may.
                let _ = match &self.tls {
                    Some(tls) => token.cancel_query(tls.clone()).await,
                    None => token.cancel_query(NoTls).await,
                };
                tokio::time::sleep(wait).await;
            };
            tokio::select! {
                _ = &mut next => return,
                () = request => wait *= 2,
            }
        }
    }

    /// Rolls back a transaction that waits for its next statement, and gives the connection back.
    pub(crate) fn roll_back(&self, object: Object) {
        self.runtime.spawn(async move {
            let rolled_back = timeout(PATIENCE, object.batch_execute("ROLLBACK")).await;
            if !matches!(rolled_back, Ok(Ok(()))) {
                drop(Object::take(object));
            }
        });
    }
}
