//! A thread with a runtime of its own for heartbeats.
//!
//! A connection lives in a task of the runtime it was made on. On the program's runtime a handler that blocks
//! a thread, or many of them, would keep renewals from the server, and with them the leases they are for. So
//! the connections for heartbeats, and the calls that use them, have this thread to themselves.

use std::panic::resume_unwind;
use std::sync::Arc;

use deadpool_postgres::{ConfigConnectImpl, Connect, Manager, ManagerConfig};
use gristmill_core::{BackendError, BackendErrorKind, BoxFuture};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Client, Config, Error, Socket};

/// The thread; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Apart {
    handle: Handle,
    _ends: oneshot::Sender<()>,
}

impl Apart {
    pub(crate) fn start() -> Result<Self, BackendError> {
        let failed = |error: std::io::Error| {
            BackendError::new(BackendErrorKind::Internal, "the thread for heartbeats cannot be started")
                .with_source(error)
        };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let handle = runtime.handle().clone();
        let (ends, ended) = oneshot::channel();
        // The runtime is dropped there, too: elsewhere that could block.
        let run = move || drop(runtime.block_on(ended));
        std::thread::Builder::new().name("gristmill-control".to_owned()).spawn(run).map_err(failed)?;
        Ok(Self { handle, _ends: ends })
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

/// Makes connections on another runtime than that of the caller.
struct ConnectOn<C> {
    connect: Arc<C>,
    handle: Handle,
}

impl<C: Connect + 'static> Connect for ConnectOn<C> {
    fn connect(&self, config: &Config) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), Error>> {
        let (connect, config) = (Arc::clone(&self.connect), config.clone());
        let connecting = self.handle.spawn(async move { connect.connect(&config).await });
        Box::pin(async move {
            match connecting.await {
                Ok(connected) => connected,
                Err(ended) if ended.is_panic() => resume_unwind(ended.into_panic()),
                // The thread has ended; the pool's own patience ends the wait.
                Err(_) => std::future::pending().await,
            }
        })
    }
}

/// A manager of connections that live on this runtime.
pub(crate) fn manager_on<T>(handle: &Handle, config: Config, tls: T, recycling: ManagerConfig) -> Manager
where
    T: MakeTlsConnect<Socket> + Clone + Sync + Send + 'static,
    T::Stream: Sync + Send,
    T::TlsConnect: Sync + Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    let connect = ConnectOn { connect: Arc::new(ConfigConnectImpl { tls }), handle: handle.clone() };
    Manager::from_connect(config, connect, recycling)
}
