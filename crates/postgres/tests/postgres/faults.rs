//! What goes wrong around the backend.

mod load;
mod locks;
mod network;
mod refusals;
mod server;
mod site;
