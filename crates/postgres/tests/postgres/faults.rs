//! What goes wrong around the backend.

mod load;
mod locks;
mod network;
mod server;
mod site;
