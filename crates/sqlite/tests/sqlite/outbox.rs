//! The outbox: its statements write what the backend writes, from any program and driver.

pub(crate) mod answer;
mod apply;
mod enqueue;
mod equal;
mod failing;
mod fault;
mod flood;
mod history;
mod list;
mod operate;
mod options;
mod refuse;
pub(crate) mod request;
mod schema;
mod twins;
mod wake;
