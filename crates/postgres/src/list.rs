//! Pages of jobs.

use gristmill_core::{Call, JobRecord, ListRequest, Page};

use crate::error::Answer;
use crate::handle::Inner;

pub(crate) async fn list(_inner: &Inner, _call: Call, _request: &ListRequest) -> Answer<Page<JobRecord>> {
    todo!()
}
