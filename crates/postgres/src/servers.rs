//! Which server new connections reach: after a failover another one than old connections, which nothing may
//! have closed.
//!
//! Connections of the pools are given up when their server takes no writes. The one that listens sends
//! nothing that would show it, so it is given up when a call was refused as read-only, or when a new
//! connection reaches another server.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_postgres::{Client, SimpleQueryMessage};

/// A text that differs from server to server: they did not start in the same microsecond.
pub(crate) const WHICH: &str = "SELECT pg_catalog.pg_postmaster_start_time()::pg_catalog.text";

/// What is known of the servers.
#[derive(Debug, Default)]
pub(crate) struct Servers {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The server that the latest connection has reached.
    latest: Option<String>,
    /// So many calls were refused as read-only.
    refusals: u64,
}

/// What a connection knew of the servers when it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reached {
    which: Option<String>,
    refusals: u64,
}

impl Servers {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks which server a new connection has reached. One that does not say it is no worse for that.
    pub(crate) async fn look(&self, client: &Client) {
        let Ok(messages) = client.simple_query(WHICH).await else { return };
        let Some(which) = which(&messages) else { return };
        let mut state = self.state();
        if state.latest.as_ref() != Some(&which) {
            state.latest = Some(which);
            drop(state);
            self.changed.notify_waiters();
        }
    }

    /// A call was refused: the server takes no writes.
    pub(crate) fn refused(&self) {
        self.state().refusals += 1;
        self.changed.notify_waiters();
    }

    /// A connection has reached the server that says this of itself.
    pub(crate) fn reached(&self, messages: &[SimpleQueryMessage]) -> Reached {
        Reached { which: which(messages), refusals: self.state().refusals }
    }

    /// Waits until a connection is one to give up.
    ///
    /// # Cancel safety
    /// It only looks.
    pub(crate) async fn left(&self, reached: &Reached) {
        loop {
            let changed = self.changed.notified();
            {
                let state = self.state();
                let is_other = state.latest.is_some() && state.latest != reached.which;
                if is_other || state.refusals != reached.refusals {
                    return;
                }
            }
            changed.await;
        }
    }
}

fn which(messages: &[SimpleQueryMessage]) -> Option<String> {
    messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    })
}
