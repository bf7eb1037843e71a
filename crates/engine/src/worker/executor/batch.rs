//! The task of a chunk: begins its jobs one by one.
//!
//! A job of a quick kind is polled once in this task, and most end there: no task, no timer, no entry in the
//! registry. What is left over after that poll, and every job of another kind, gets a task of its own.

use std::sync::Arc;
use std::time::Duration;

use super::attempt;
use super::chunk::Chunk;
use super::ready::Ready;
use super::start::{Local, Stopwatch};
use crate::run_result::RunResult;
use crate::worker::executor::Executor;

/// A chunk hands over its ends, and lets other tasks run, after this many jobs or this time.
const FLUSH_EVERY: usize = 128;
const FLUSH_AFTER: Duration = Duration::from_millis(1);

/// Gives a part of a batch its task.
pub(super) fn spawn(executor: &Arc<Executor>, jobs: Vec<Ready>) {
    let open = Open { chunk: executor.chunks.open(jobs), executor: executor.clone() };
    executor.host.spawn(async move { run(&open).await });
}

/// A chunk whose task runs; whatever happens to the task, nothing of the chunk is lost.
struct Open {
    chunk: Arc<Chunk>,
    executor: Arc<Executor>,
}

impl Drop for Open {
    fn drop(&mut self) {
        let Self { chunk, executor } = self;
        executor.hand_over(chunk.take_ended());
        executor.chunks.close(chunk);
        let mut rest = chunk.take_rest();
        if !rest.is_empty() {
            // The runtime drops its tasks, new ones at once: starting others would go as deep as there are
            // some.
            rest.extend(executor.reserve.take_all());
        }
        executor.give_back(rest);
        // The fetcher may have waited for the local work to run out.
        executor.slots.nudge();
    }
}

async fn run(open: &Open) {
    let Open { chunk, executor } = open;
    let mut clock = Stopwatch::start(&executor.starter);
    let mut known: Option<Local> = None;
    let client = executor.starter.client();
    let (mut flushed, mut since) = (clock.now(), 0);
    let mut previous: Option<RunResult> = None;
    while let Some(ready) = chunk.advance(previous.take()) {
        let kind = &ready.job.spec.kind;
        if known.as_ref().is_none_or(|local| local.kind.name != *kind) {
            known = executor.starter.local(kind, &client);
        }
        match &known {
            None => previous = Some(executor.starter.no_handler(ready)),
            Some(local) if local.kind.is_quick() => {
                previous = attempt::in_place(executor, local, ready, &mut clock);
            }
            Some(local) => attempt::in_a_task(executor, local, ready),
        }
        since += 1;
        let spent = !tokio::task::coop::has_budget_remaining();
        if spent || since >= FLUSH_EVERY || clock.now().duration_since(flushed) >= FLUSH_AFTER {
            let mut ended = chunk.take_ended();
            ended.extend(previous.take());
            executor.hand_over(ended);
            tokio::task::yield_now().await;
            (flushed, since) = (clock.tick(), 0);
        }
    }
}
