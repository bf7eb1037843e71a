//! What goes wrong around the backend.

mod load;
mod locks;
mod network;
mod plans;
mod pooler;
mod refusals;
mod server;
mod site;
mod text;
