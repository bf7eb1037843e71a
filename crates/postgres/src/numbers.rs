//! Queues, workers and counts.

use gristmill_core::{Call, Count, JobFilter, QueueRecord, StatsReply, StatsRequest, WorkerRecord};

use crate::error::Answer;
use crate::handle::Inner;

pub(crate) async fn list_queues(_inner: &Inner, _call: Call, _request: &()) -> Answer<Vec<QueueRecord>> {
    todo!()
}

pub(crate) async fn list_workers(_inner: &Inner, _call: Call, _request: &()) -> Answer<Vec<WorkerRecord>> {
    todo!()
}

pub(crate) async fn count(_inner: &Inner, _call: Call, _request: &(JobFilter, Option<u64>)) -> Answer<Count> {
    todo!()
}

pub(crate) async fn stats(_inner: &Inner, _call: Call, _request: &StatsRequest) -> Answer<StatsReply> {
    todo!()
}
