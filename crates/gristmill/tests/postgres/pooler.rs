//! Behind a transaction pooler no process receives notifications.

use std::time::{Duration, Instant};

use gristmill::{Client, JobState, Verdict};
use gristmill_testserver::{PgBouncer, Postgres as Server};

use crate::floor::{Floor, enqueue, open, until};

const POLL: Duration = Duration::from_millis(800);
/// What the contract says: a cancel reaches its handler within a second.
const TOLD_WITHIN: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_behind_a_transaction_pooler_polls_for_jobs_and_hears_of_cancels_in_time() {
    let server = Server::start();
    let pooler = PgBouncer::before(&server);
    let client = Client::new(open(server.url()).await);
    let store = open(&format!("{}?pooler=transaction", pooler.url())).await;
    let floor = Floor::default();
    let worker = floor.start(&store, |worker| worker.poll_interval(POLL));
    let (mut starts, mut cancels) = (Vec::new(), Vec::new());
    for round in 1..=5 {
        let (id, enqueued) = (enqueue(&client).await, Instant::now());
        until("the job runs", async || floor.running() == 1).await;
        starts.push(enqueued.elapsed());
        assert_eq!(client.cancel(id).await.expect("it is answered"), Verdict::Requested);
        let requested = Instant::now();
        until("the handler is told", async || floor.told() == round).await;
        cancels.push(requested.elapsed());
        let ended = client.wait(id, crate::floor::PATIENCE).await.expect("it ends");
        assert_eq!(ended.state, JobState::Cancelled);
    }
    // A slow moment of the machine is not the worker's.
    for (mut times, most) in [(starts, POLL), (cancels, TOLD_WITHIN)] {
        times.sort();
        assert!(times[2] <= most, "{times:?}");
    }
    assert!(worker.stop().await.is_clean());
}
