//! Around every attempt: middleware. After every fact: hooks. Before every enqueue: layers of the client.
#![expect(clippy::print_stdout, reason = "a lesson shows what it does")]

use std::time::Duration;

use gristmill::middleware::{JobRun, Next, from_fn};
use gristmill::{Client, Error, EventKind, Job, JobContext, Memory, NewJob, Outcome, Worker};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Job)]
#[job(kind = "greet")]
struct Greet {
    name: String,
}

async fn greet(job: Greet, context: JobContext) {
    println!("hello {} of {}", job.name, context.metadata().get("tenant").unwrap_or_default());
}

/// Any async function of this shape is a middleware.
async fn announced(run: &mut JobRun, next: Next<'_>) -> Outcome {
    println!("before {}", run.context().kind());
    let outcome = next.run(run).await;
    println!("after: {}", outcome.ending());
    outcome
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Sees every job of this client before it is stored; may change or refuse it.
    let client = Client::builder(Memory::new())
        .layer(|job: &mut NewJob| -> Result<(), Error> {
            job.spec.metadata.insert("tenant", "acme");
            Ok(())
        })
        .build();
    client.enqueue(Greet { name: "Ada".to_owned() }).await?;
    client.enqueue(Greet { name: "nobody".to_owned() }).await?;

    Worker::builder(client)
        .queue("default", 1)
        .drain()
        .handle(greet)
        // The first one is the outermost.
        .layer(announced)
        // A closure; it answers in the handler's place. `Deferred` costs no attempt.
        .layer(from_fn(|run, next| {
            Box::pin(async move {
                let args = run.context().args().as_bytes();
                if args.windows(6).any(|part| part == b"nobody") && run.context().run() == 1 {
                    let after = Duration::from_millis(10);
                    return Outcome::Deferred { after, reason: "not yet".to_owned() };
                }
                next.run(run).await
            })
        }))
        // Runs after the fact is stored.
        .on(EventKind::Completed, |event| println!("completed in run after attempt {:?}", event.attempt))
        .build()?
        .run()
        .await?;
    Ok(())
}
