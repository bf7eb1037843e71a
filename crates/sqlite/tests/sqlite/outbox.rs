//! The outbox: what its statements write is what the backend writes, whoever sends them.

pub(crate) mod answer;
mod apply;
mod enqueue;
mod equal;
mod fault;
mod history;
mod list;
mod operate;
mod options;
mod refuse;
pub(crate) mod request;
mod schema;
mod twins;
mod wake;
