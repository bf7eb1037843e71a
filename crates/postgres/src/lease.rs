//! Workers: they register, renew all their leases at once, and retire.

use gristmill_core::{Call, RegisterWorker, RenewReply, RenewRequest, WorkerId};

use crate::error::Answer;
use crate::handle::Inner;

pub(crate) async fn renew(_inner: &Inner, _call: Call, _request: &RenewRequest) -> Answer<RenewReply> {
    todo!()
}

pub(crate) async fn register_worker(_inner: &Inner, _call: Call, _request: &RegisterWorker) -> Answer<()> {
    todo!()
}

pub(crate) async fn retire_worker(_inner: &Inner, _call: Call, _request: &WorkerId) -> Answer<()> {
    todo!()
}
