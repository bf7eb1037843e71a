//! A TCP proxy that makes faults.

mod connection;
mod control;
mod exchange;
mod fault_proxy;
mod frames;

pub use fault_proxy::FaultProxy;
