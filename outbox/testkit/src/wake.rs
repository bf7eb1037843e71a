//! What a commit tells workers.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use gristmill::Worker;
use tokio::sync::Semaphore;

use crate::adapter::{Adapter, committed};
use crate::{Letter, Site, runtime};

/// Longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longer than that: a worker that is not woken is late.
const POLL: Duration = Duration::from_secs(60);

/// A worker that has nothing to do, and polls once a minute, runs the job at once.
///
/// Handlers hold their jobs, and there are more slots than jobs: where one runs, the fetch that brought it
/// has found nothing else, none is under way, and none will be because a job ends. A worker looks around when
/// it starts and again when it begins to listen, which may bring the first two jobs; the others can only be
/// brought by their commits.
pub fn a_commit_wakes_a_worker_that_sleeps<A: Adapter>(site: &Site) {
    let mut adapter = A::connect(&site.url);
    let (heard, letters) = mpsc::channel();
    let held = Arc::new(Semaphore::new(0));
    let holding = Arc::clone(&held);
    let handler = move |letter: Letter| {
        let (heard, held) = (heard.clone(), Arc::clone(&holding));
        async move {
            heard.send(letter.number).expect("somebody listens");
            drop(held.acquire().await);
        }
    };
    let worker = Worker::builder(site.client.clone()).queue("default", 8).poll_interval(POLL).handle(handler);
    let _inside = runtime().enter();
    let worker = worker.build().expect("the settings hold");
    let handle = worker.handle();
    let running = runtime().spawn(worker.run());
    for number in 1..=4 {
        committed(&mut adapter, |tx| {
            tx.enqueue(&site.outbox, Letter::new(number)).expect("it is enqueued");
        });
        assert_eq!(letters.recv_timeout(PATIENCE), Ok(number), "the worker is woken");
    }
    held.close();
    handle.stop();
    let report = runtime().block_on(running).expect("the worker's task ends").expect("the worker ends");
    assert_eq!(report.stats.completed, 4);
}
