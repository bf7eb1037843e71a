//! Pausing and resuming a queue.

use gristmill_core::{Call, Name, PauseRequest};

use crate::error::Answer;
use crate::handle::Inner;

pub(crate) async fn pause(_inner: &Inner, _call: Call, _request: &PauseRequest) -> Answer<()> {
    todo!()
}

pub(crate) async fn resume(_inner: &Inner, _call: Call, _request: &Name) -> Answer<()> {
    todo!()
}
