//! Promote, rescue, audit: bounded rounds that any worker may run.

use gristmill_core::{AuditReply, Call, Cursor, Maintained, RescueReply};

use crate::error::Answer;
use crate::handle::Inner;

pub(crate) async fn promote(_inner: &Inner, _call: Call, _request: &usize) -> Answer<Maintained> {
    todo!()
}

pub(crate) async fn rescue(_inner: &Inner, _call: Call, _request: &usize) -> Answer<RescueReply> {
    todo!()
}

pub(crate) async fn audit(
    _inner: &Inner,
    _call: Call,
    _request: &(Option<Cursor>, usize),
) -> Answer<AuditReply> {
    todo!()
}
