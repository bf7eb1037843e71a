//! The smallest program: a job, a handler, a worker that ends when nothing is left to do.
#![expect(clippy::print_stdout, reason = "a lesson shows what it does")]

use gristmill::{Client, Job, Memory, Worker};
use serde::{Deserialize, Serialize};

/// The data of a job. The kind is stored with it and selects the handler; it stays when the type is renamed.
#[derive(Serialize, Deserialize, Job)]
#[job(kind = "email.welcome")]
struct Welcome {
    name: String,
}

/// A handler is an async function. Its first argument is the job. Several run at once, in no promised order.
async fn welcome(job: Welcome) {
    println!("welcome, {}", job.name);
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Jobs in memory are gone with the process; for one that stays see lesson 11.
    let client = Client::new(Memory::new());
    for name in ["Ada", "Grace", "Margaret"] {
        client.enqueue(Welcome { name: name.to_owned() }).await?;
    }

    // `drain` ends the worker when its queues are empty. Services leave it out: see lesson 9.
    let report = Worker::builder(client).drain().handle(welcome).build()?.run().await?;
    println!("{} jobs completed", report.stats.completed);
    Ok(())
}
