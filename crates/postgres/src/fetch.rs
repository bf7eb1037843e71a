//! Leases available jobs to a worker.

use gristmill_core::{Call, FetchReply, FetchRequest};

use crate::error::Answer;
use crate::handle::Inner;

pub(crate) async fn fetch(_inner: &Inner, _call: Call, _request: &FetchRequest) -> Answer<FetchReply> {
    todo!()
}
