//! What a backend of Gristmill *means*, as tests.
mod case;
mod cases;
mod caught;
mod conformance;
mod fault;
mod fixture;
mod model;
mod store;
mod wait;

pub use case::Case;
pub use cases::all_cases;
pub use conformance::{conformance, run_case};
pub use fault::{Fault, FaultyBackend, Operation};
pub use fixture::Fixture;
pub use fixture::shape::Shape;
pub use model::{model_histories, try_histories};
pub use store::Store;
pub use wait::block_on;
