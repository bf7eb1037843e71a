//! Deletes ended jobs past their retention.

use gristmill_core::{Call, Maintained};

use crate::error::Answer;
use crate::handle::Inner;

pub(crate) async fn prune(_inner: &Inner, _call: Call, _request: &usize) -> Answer<Maintained> {
    todo!()
}
