//! Workers on a SQLite file with numbers in it that cannot be.

use std::time::Duration;

use gristmill::{Client, JobContext, JobError, JobOptions, JobState, Sqlite, Worker};
use rusqlite::Connection;

#[tokio::test]
async fn a_lane_of_the_last_priorities_completes_a_job_of_a_later_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("jobs.db");
    let client = Client::new(Sqlite::open(&path).expect("the file opens"));
    let id = client.enqueue_raw("work", "{}", JobOptions::new()).await.expect("it is stored").id;
    let raw = Connection::open(&path).expect("the file opens");
    raw.execute_batch("UPDATE ready SET priority = 99; UPDATE jobs SET priority = 99")
        .expect("it is changed");
    let worker = Worker::builder(client.clone())
        .lane("default", 1, 5..=10)
        .handle_raw("work", async |_: JobContext| Ok::<_, JobError>(()))
        .build()
        .expect("a worker is built");
    let handle = worker.handle();
    let running = tokio::spawn(worker.run());

    let completed = async {
        while client.job(id).await.expect("it is read").expect("it is there").state != JobState::Completed {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), completed).await.expect("it completes");

    handle.stop();
    running.await.expect("it does not panic").expect("it stops");
}
