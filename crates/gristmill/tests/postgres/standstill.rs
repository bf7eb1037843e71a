//! A server that stands still for longer than anything is waited for.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gristmill::backend::{Backend as _, Hint, Listener};
use gristmill::{Client, Ending, JobFilter, JobId, JobState};
use gristmill_testserver::Postgres as Server;

use crate::floor::{Floor, Gate, How, PATIENCE, enqueue, open, until};

const LEASE: Duration = Duration::from_secs(5);
/// Beyond the timeout of a connection without acknowledgement, and of a listener that does not hear itself:
/// 15 s each.
const STOP: Duration = Duration::from_secs(20);
const JOBS: usize = 6;

/// Keeps the hints it receives.
#[derive(Default)]
struct Heard(Mutex<Vec<Hint>>);

impl Listener for Heard {
    fn hint(&self, hint: &Hint) {
        self.0.lock().expect("no test panics here").push(hint.clone());
    }
}

impl Heard {
    /// Whether a hint of available jobs has arrived since the last call.
    fn has_heard(&self) -> bool {
        let told = std::mem::take(&mut *self.0.lock().expect("no test panics here"));
        told.iter().any(|hint| matches!(hint, Hint::Available(_)))
    }
}

async fn completed(client: &Client) -> usize {
    let count = client.count(JobFilter::new().state(JobState::Completed), None).await;
    usize::try_from(count.expect("it is counted").value).expect("it is small")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_on_a_server_that_stands_still_stops_its_handlers_in_time_and_goes_on_afterwards() {
    let server = Server::start();
    let (store, client) = (open(server.url()).await, Client::new(open(server.url()).await));
    let (floor, heard) = (Floor::default(), Arc::new(Heard::default()));
    let _subscription = store.subscribe(Arc::clone(&heard) as Arc<dyn Listener>);
    // So long between two looks that jobs are found in time by notifications alone.
    let worker = floor.start(&store, |worker| worker.lease(LEASE).poll_interval(PATIENCE));
    let mut ids = Vec::new();
    for _ in 0..JOBS {
        ids.push(enqueue(&client).await);
    }
    until("all have begun", async || floor.running() == JOBS).await;

    server.pause();
    let stopped = Instant::now();
    // One handler returns while the server cannot store its outcome.
    floor.gate(Gate::OpenFor(ids[0]));
    until("no handler runs", async || floor.running() == 0).await;
    for left in floor.left() {
        assert!(left.at < stopped + LEASE, "{} went on beyond its lease", left.job);
        assert_eq!(left.how == How::Ended, left.job == ids[0], "{:?}", left.how);
    }
    until("the time is over", async || stopped.elapsed() >= STOP).await;
    assert_eq!(floor.left().len(), JOBS, "nothing has begun meanwhile");
    floor.gate(Gate::Open);
    server.resume();

    for id in &ids {
        let job = client.wait(*id, PATIENCE).await.expect("it ends");
        assert_eq!(job.state, JobState::Completed);
    }
    settle(&client, &floor, &ids).await;
    heard.has_heard();
    let mut stored = JOBS;
    let begun = Instant::now();
    while !heard.has_heard() {
        assert!(begun.elapsed() < PATIENCE, "no notification arrives");
        enqueue(&client).await;
        stored += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let begun = Instant::now();
    until("the worker takes jobs as before", async || completed(&client).await == stored).await;
    assert!(begun.elapsed() < PATIENCE / 4, "it took {:?}", begun.elapsed());
    let report = worker.stop().await;
    assert!(report.is_clean() && report.stats.incarnations_lost >= 1, "{report:?}");
}

/// Checks that every job completed once. The job whose outcome could not be stored may have run again.
async fn settle(client: &Client, floor: &Floor, ids: &[JobId]) {
    for id in ids {
        let runs = client.runs(*id).await.expect("it is answered");
        let completed = runs.iter().filter(|run| run.ending == Ending::Completed).count();
        assert_eq!(completed, 1, "{runs:?}");
        let ended = floor.left().iter().filter(|left| left.job == *id && left.how == How::Ended).count();
        assert_eq!(ended, if *id == ids[0] { runs.len() } else { 1 }, "{runs:?}");
    }
    assert_eq!(client.count(JobFilter::new(), None).await.expect("it is counted").value, ids.len() as u64);
}
