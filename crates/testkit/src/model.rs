//! Random histories: each operation is done to a backend and to a naive model of the contract, and both must
//! agree.

mod compare;
mod drive;
mod finish;
mod op;
mod parked;
mod register;
mod run;
mod settle;
mod shape;
mod state;

pub use run::{model_histories, try_histories};
