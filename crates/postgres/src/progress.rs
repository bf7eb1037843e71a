//! What running attempts record.

use gristmill_core::{Call, RecordRequest, Recorded};

use crate::error::Answer;
use crate::handle::Inner;

pub(crate) async fn record(_inner: &Inner, _call: Call, _request: &RecordRequest) -> Answer<Recorded> {
    todo!()
}
