//! A backend that fails on demand.

mod faulty;
mod gate;
mod plan;

pub use faulty::FaultyBackend;
pub use plan::Fault;
