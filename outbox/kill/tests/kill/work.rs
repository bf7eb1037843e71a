//! A worker beside the clients.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gristmill::{Client, State, Worker};
use gristmill_outbox_kill::Ship;
use sqlx::PgPool;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long to wait for a server that is not there.
const ABSENCE: Duration = Duration::from_millis(20);

/// What the handler sees.
#[derive(Debug, Clone)]
struct Shop {
    database: PgPool,
    runs: Arc<AtomicU64>,
    /// Orders whose job ran while their row was not there.
    without_row: Arc<Mutex<Vec<i64>>>,
}

/// A worker that looks for the row of each job that it runs.
pub(crate) struct Work {
    shop: Shop,
    stop: oneshot::Sender<()>,
    worker: JoinHandle<()>,
}

impl Work {
    pub(crate) fn start(runtime: &Runtime, client: Client, url: &str) -> Self {
        let _inside = runtime.enter();
        let database = PgPool::connect_lazy(url).expect("the URL can be read");
        let shop = Shop { database, runs: Arc::default(), without_row: Arc::default() };
        let mut builder = Worker::builder(client).state(shop.clone());
        for queue in gristmill_outbox_kill::QUEUES {
            builder = builder.queue(queue, 4);
        }
        let worker = builder.handle(ship).build().expect("the settings hold");
        let (stop, stopped) = oneshot::channel();
        let worker = runtime.spawn(async move {
            worker.run_until(async { drop(stopped.await) }).await.expect("the worker runs");
        });
        Self { shop, stop, worker }
    }

    /// Stops it, and says how many runs there were, and of which orders the row was not there.
    pub(crate) fn stop(self, runtime: &Runtime) -> (u64, Vec<i64>) {
        self.stop.send(()).expect("it runs");
        runtime.block_on(self.worker).expect("the worker ends in order");
        let without_row = self.shop.without_row.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (self.shop.runs.load(Ordering::Relaxed), without_row)
    }
}

async fn ship(job: Ship, State(shop): State<Shop>) {
    let rows: i64 = loop {
        let query = sqlx::query_scalar("SELECT count(*) FROM orders WHERE number = $1").bind(job.number);
        match query.fetch_one(&shop.database).await {
            Ok(rows) => break rows,
            Err(_) => tokio::time::sleep(ABSENCE).await,
        }
    };
    shop.runs.fetch_add(1, Ordering::Relaxed);
    if rows == 0 {
        shop.without_row.lock().unwrap_or_else(PoisonError::into_inner).push(job.number);
    }
}
