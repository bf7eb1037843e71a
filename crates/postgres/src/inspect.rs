//! Jobs by id, their runs and their events.

use bytes::Bytes;
use gristmill_core::{Call, JobEvent, JobId, JobRecord, RunRecord};

use crate::error::Answer;
use crate::handle::Inner;

pub(crate) async fn get(
    _inner: &Inner,
    _call: Call,
    _request: &Vec<JobId>,
) -> Answer<Vec<Option<JobRecord>>> {
    todo!()
}

pub(crate) async fn list_runs(
    _inner: &Inner,
    _call: Call,
    _request: &(JobId, usize),
) -> Answer<Vec<RunRecord>> {
    todo!()
}

pub(crate) async fn list_events(_inner: &Inner, _call: Call, _request: &JobId) -> Answer<Vec<JobEvent>> {
    todo!()
}

pub(crate) async fn checkpoint(_inner: &Inner, _call: Call, _request: &JobId) -> Answer<Option<Bytes>> {
    todo!()
}
