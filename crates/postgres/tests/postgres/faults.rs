//! What goes wrong around the backend; which fault is caught by which test stands in the README of the crate.

mod abreast;
mod apart;
mod aside;
mod crossed;
mod dropped;
mod exchanged;
mod failover;
mod held;
mod late;
mod load;
mod locks;
mod log;
mod network;
mod numbers;
mod order;
mod plans;
mod pooler;
mod refusals;
mod roles;
mod server;
pub(crate) mod site;
mod snapshot;
mod strays;
mod sum;
mod table;
mod text;
mod tls;
