//! What a handler may take behind its job: shared state, the attempt, metadata, your own extractors.
#![expect(clippy::print_stdout, reason = "a lesson shows what it does")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use gristmill::{
    Attempt, BoxError, Client, FromJob, FromRef, Job, JobContext, JobExt, Memory, Meta, State, Worker,
};
use serde::{Deserialize, Serialize};

/// What the handlers share. A part of it that can be cloned out is an extractor by itself.
struct App {
    sent: Arc<AtomicU32>,
    greeting: Greeting,
}

#[derive(Clone)]
struct Greeting(&'static str);

impl FromRef<App> for Greeting {
    fn from_ref(app: &App) -> Self {
        app.greeting.clone()
    }
}

impl FromRef<App> for Arc<AtomicU32> {
    fn from_ref(app: &App) -> Self {
        app.sent.clone()
    }
}

/// Metadata travels with the job: it is for what is not the job's own input, such as a trace or a tenant.
#[derive(Deserialize)]
struct Trace {
    trace: String,
}

/// Your own extractor. Its error ends the attempt before the handler is called.
struct Tenant(String);

impl<S: Send + Sync> FromJob<S> for Tenant {
    async fn from_job(context: &JobContext, _: &S) -> Result<Self, BoxError> {
        let tenant = context.metadata().get("tenant").and_then(|tenant| tenant.as_str());
        Ok(Self(tenant.ok_or("the job names no tenant")?.to_owned()))
    }
}

#[derive(Serialize, Deserialize, Job)]
#[job(kind = "email.welcome")]
struct Welcome {
    name: String,
}

async fn welcome(
    job: Welcome,
    State(Greeting(greeting)): State<Greeting>,
    State(sent): State<Arc<AtomicU32>>,
    Attempt(attempt): Attempt,
    Meta(Trace { trace }): Meta<Trace>,
    Tenant(tenant): Tenant,
) {
    sent.fetch_add(1, Ordering::Relaxed);
    println!("{greeting}, {} of {tenant} (attempt {attempt}, trace {trace})", job.name);
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = Client::new(Memory::new());
    let job = Welcome { name: "Ada".to_owned() };
    client.enqueue(job.metadata("tenant", "acme").metadata("trace", "7f3a")).await?;

    let sent = Arc::new(AtomicU32::new(0));
    let app = App { sent: sent.clone(), greeting: Greeting("hello") };
    Worker::builder(client).state(app).drain().handle(welcome).build()?.run().await?;
    println!("sent: {}", sent.load(Ordering::Relaxed));
    Ok(())
}
