//! The contract of a Gristmill backend as tests, for authors of backends.
//!
//! A backend implements [`Backend`](gristmill_core::Backend). Whether it keeps the contract is shown by two
//! test programs, each with `harness = false` in `Cargo.toml`:
//!
//! ```toml
//! [[test]]
//! name = "conformance"
//! harness = false
//!
//! [[test]]
//! name = "model"
//! harness = false
//! ```
//!
//! # The conformance suite
//! A table of [cases](Case): one rule of the contract each, in a fresh store. `tests/conformance.rs` is whole
//! with:
//!
//! ```no_run
//! use std::process::ExitCode;
//! use std::sync::Arc;
//! use gristmill_core::Backend;
//! use gristmill_memory::Memory;
//! use gristmill_testkit::{Store, conformance};
//!
//! fn main() -> ExitCode {
//!     conformance("memory", Memory::new().capabilities(), || Store::new(Arc::new(Memory::new())))
//! }
//! ```
//!
//! The program takes the usual arguments of a test program: a filter, `--list`, `--test-threads`. Cases that
//! need a [capability](gristmill_core::Capability) the backend does not promise are shown as ignored, with
//! the reason in their name. A backend that promises [`Durable`](gristmill_core::Capability::Durable) says
//! how to open a store again:
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use gristmill_core::Backend;
//! # use gristmill_testkit::Store;
//! # struct Folder;
//! # impl Folder { fn new() -> Self { Self } fn path(&self) -> &'static str { "" } }
//! # fn open(path: &str) -> Arc<dyn Backend> { unimplemented!() }
//! fn fresh() -> Store {
//!     let folder = Folder::new();
//!     let path = folder.path();
//!     Store::new(open(path)).with_reopen(move || open(path)).with_guard(folder)
//! }
//! ```
//!
//! Cases move the clock: every call carries [`Call::now`](gristmill_core::Call::now), so nothing waits, and
//! nothing may depend on the machine's clock. Calls are made from plain threads without a runtime.
//!
//! # The model
//! [`model_histories`] does random histories to the backend and to a naive model of the contract, and
//! compares all that can be seen after each step. A history that differs is shrunk and printed, with a seed:
//! `GRISTMILL_MODEL_SEED` set to it (hexadecimal) begins the next run with the same histories.
//! `tests/model.rs` is whole with:
//!
//! ```no_run
//! use std::process::ExitCode;
//! use std::sync::Arc;
//! use gristmill_memory::Memory;
//! use gristmill_testkit::{Store, model_histories};
//!
//! fn main() -> ExitCode {
//!     model_histories("memory", 2_000, 50, || Store::new(Arc::new(Memory::new())))
//! }
//! ```
//!
//! # Faults
//! [`FaultyBackend`] stands before any backend and lets chosen calls fail, hang, or succeed and say that they
//! failed: for tests of whatever uses a backend. The suite's area `crash` runs a small client over it.
//!
//! # Processes side by side
//! [`Rolling`] runs processes that come, go and are killed on one store, such as those of two releases during
//! a deploy, and checks that each job ends once.
//!
//! # Requests to an outbox
//! [`REFUSED_JOBS`] and [`REFUSED_PATCHES`] are what every library refuses before it sends a request, each as
//! JSON text, [`TAKEN_ARGS`] and [`TAKEN_OPTIONS`] what none may refuse. [`requested`] applies stored
//! requests and shows what became of their jobs.
//!
//! Which rule is proved by which case stands in the crate's README.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod case;
mod cases;
mod caught;
mod conformance;
mod damage;
mod fault;
mod fixture;
mod model;
pub mod requested;
mod requests;
mod rolling;
mod store;
mod taken;
mod wait;

pub use case::Case;
pub use cases::all_cases;
pub use conformance::{conformance, run_case};
pub use damage::Damage;
pub use fault::{Fault, FaultyBackend};
pub use fixture::Fixture;
pub use fixture::shape::Shape;
pub use gristmill_core::Operation;
pub use model::{model_histories, try_histories};
pub use requests::{REFUSED_JOBS, REFUSED_PATCHES};
pub use rolling::{Rolling, RollingTotals};
pub use store::Store;
pub use taken::{TAKEN_ARGS, TAKEN_OPTIONS, assert_kept};
pub use wait::block_on;
