//! From a user's async fn to what the executor can start.

pub(crate) mod route;
