//! The workers of this process.

use std::sync::Arc;
use std::time::Duration;

use gristmill::{Client, Worker, WorkerHandle};
use tokio::task::JoinSet;

use super::job::{Bench, QUEUE, count};
use super::options::Options;
use crate::failure::{Failure, Result};

/// How often the workers are asked how far they are.
const LOOK: Duration = Duration::from_millis(1);

/// Workers that run.
pub(super) struct Workers {
    running: JoinSet<Result<()>>,
    handles: Vec<WorkerHandle>,
}

impl Workers {
    /// Starts them.
    pub(super) fn start(client: &Client, bench: &Arc<Bench>, options: &Options) -> Result<Self> {
        let mut workers = Self { running: JoinSet::new(), handles: Vec::new() };
        for _ in 0..options.workers() {
            let worker = build(client, bench, options)?;
            workers.handles.push(worker.handle());
            workers.running.spawn(async move { worker.run().await.map(drop).map_err(Failure::from) });
        }
        Ok(workers)
    }

    /// Jobs whose completion is stored.
    pub(super) fn completed(&self) -> u64 {
        self.handles.iter().map(|handle| handle.stats().completed).sum()
    }

    /// Waits until so many are completed. A handler costs nothing for that; the answer is a millisecond old
    /// at most.
    pub(super) async fn wait(&mut self, jobs: u64, mut progress: impl FnMut(u64)) -> Result<()> {
        let mut looks = tokio::time::interval(LOOK);
        loop {
            let completed = self.completed();
            progress(completed);
            if completed >= jobs {
                return Ok(());
            }
            tokio::select! {
                _ = looks.tick() => {}
                Some(ended) = self.running.join_next() => {
                    ended.map_err(|error| Failure::failed(format!("a worker ended: {error}")))??;
                    return Err(Failure::failed("a worker ended by itself"));
                }
            }
        }
    }

    /// Stops them; what they have not run is given back.
    pub(super) async fn stop(mut self) -> Result<()> {
        self.handles.iter().for_each(WorkerHandle::stop);
        while let Some(ended) = self.running.join_next().await {
            ended.map_err(|error| Failure::failed(format!("a worker ended: {error}")))??;
        }
        Ok(())
    }
}

fn build(client: &Client, bench: &Arc<Bench>, options: &Options) -> Result<Worker> {
    Ok(Worker::builder(client.clone())
        .state(bench.clone())
        .queue(QUEUE, options.slots as usize)
        .fetch_batch(options.batch as usize)
        .handle(count)
        .build()?)
}
