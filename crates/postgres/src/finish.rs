//! Ends runs, each only if its token holds.

use gristmill_core::{Call, FinishReply, FinishRequest};

use crate::error::Answer;
use crate::handle::Inner;

pub(crate) async fn finish(_inner: &Inner, _call: Call, _request: &FinishRequest) -> Answer<FinishReply> {
    todo!()
}
