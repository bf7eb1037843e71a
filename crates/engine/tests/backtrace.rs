//! Backtraces of panics, for those who ask: the hook is the process's, so this is a process of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use gristmill_core::{Job, JobError, JobOptions, JobState};
use gristmill_engine::{Client, JobContext, Worker, capture_backtraces};
use gristmill_memory::Memory;

#[derive(serde::Serialize, serde::Deserialize)]
struct Blocks {}

impl Job for Blocks {
    const KIND: &'static str = "blocks";
    type Output = ();
}

fn dies_here() -> Result<(), JobError> {
    panic!("in a named function")
}

fn dies_here_too() {
    panic!("on a thread")
}

#[tokio::test]
async fn a_panic_is_kept_with_its_backtrace_and_the_hook_before_is_called() {
    let told = Arc::new(AtomicU32::new(0));
    let hook = told.clone();
    std::panic::set_hook(Box::new(move |_| {
        hook.fetch_add(1, Ordering::SeqCst);
    }));
    capture_backtraces();
    capture_backtraces();
    let client = Client::new(Memory::new());
    let mut ids = Vec::new();
    for kind in ["dies", "blocks"] {
        let options = JobOptions::new().max_attempts(1);
        ids.push(client.enqueue_raw(kind, "{}", options).await.unwrap().id);
    }
    let worker = Worker::builder(client.clone())
        .handle_raw("dies", async |_: JobContext| dies_here())
        .handle_blocking(|_: Blocks| dies_here_too())
        .drain()
        .build()
        .unwrap();
    tokio::time::timeout(Duration::from_secs(60), worker.run()).await.unwrap().unwrap();
    for (id, name) in ids.into_iter().zip(["dies_here", "dies_here_too"]) {
        let run = client.runs(id).await.unwrap().pop().unwrap();
        let backtrace = run.error.and_then(|error| error.backtrace).unwrap();
        assert_eq!(run.state, JobState::Discarded);
        assert!(backtrace.starts_with("at ") && backtrace.contains("backtrace.rs:"), "{backtrace}");
        assert!(backtrace.contains(name), "{backtrace}");
    }
    assert_eq!(told.load(Ordering::SeqCst), 2);
}
