//! What the server says of itself, and whether it is as it should be.

use gristmill_core::{Call, Diagnosis, Ping};

use crate::error::Answer;
use crate::handle::Inner;

pub(crate) async fn ping(_inner: &Inner, _call: Call, _request: &()) -> Answer<Ping> {
    todo!()
}

pub(crate) async fn diagnose(_inner: &Inner, _call: Call, _request: &()) -> Answer<Vec<Diagnosis>> {
    todo!()
}
