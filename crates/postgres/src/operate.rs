//! The operator's acts: cancel, retry, delete, update, release.

use gristmill_core::{Call, JobPatch, VerbReply, VerbRequest};

use crate::error::Answer;
use crate::handle::Inner;

pub(crate) async fn cancel(_inner: &Inner, _call: Call, _request: &VerbRequest) -> Answer<VerbReply> {
    todo!()
}

pub(crate) async fn retry(_inner: &Inner, _call: Call, _request: &VerbRequest) -> Answer<VerbReply> {
    todo!()
}

pub(crate) async fn delete(_inner: &Inner, _call: Call, _request: &VerbRequest) -> Answer<VerbReply> {
    todo!()
}

pub(crate) async fn update(
    _inner: &Inner,
    _call: Call,
    _request: &(VerbRequest, JobPatch),
) -> Answer<VerbReply> {
    todo!()
}

pub(crate) async fn release_hold(_inner: &Inner, _call: Call, _request: &VerbRequest) -> Answer<VerbReply> {
    todo!()
}
