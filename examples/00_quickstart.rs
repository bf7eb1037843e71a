//! The program of the README, which a test compares with this one and runs.
#![expect(clippy::print_stdout, reason = "a lesson shows what it does")]

use gristmill::{Client, Job, Sqlite, Worker};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Job)]
#[job(kind = "email.welcome", queue = "mail", max_attempts = 8, timeout = "30s")]
struct Welcome {
    user_id: i64,
}

async fn welcome(job: Welcome) -> anyhow::Result<()> {
    println!("dear user {}", job.user_id);
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = Client::new(Sqlite::open("jobs.db")?);
    client.enqueue(Welcome { user_id: 7 }).await?;
    let worker = Worker::builder(client).queue("mail", 20).handle(welcome).build()?;
    worker.run_until(async { drop(tokio::signal::ctrl_c().await) }).await?;
    Ok(())
}
