//! What goes wrong around the backend.

mod load;
mod locks;
mod network;
mod plans;
mod refusals;
mod server;
mod site;
mod text;
