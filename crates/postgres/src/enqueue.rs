//! Stores jobs.

use gristmill_core::{Call, EnqueueReply, EnqueueRequest};

use crate::error::Answer;
use crate::handle::Inner;

pub(crate) async fn enqueue(_inner: &Inner, _call: Call, _request: &EnqueueRequest) -> Answer<EnqueueReply> {
    todo!()
}
