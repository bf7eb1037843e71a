//! The benchmark: a product, not a script. Every job is accounted for by its number, and a run that loses or
//! doubles one fails.

mod account;
mod children;
mod drain;
mod enqueue;
mod job;
mod kill;
mod latency;
mod options;
mod process;
mod produce;
mod report;
mod run;
mod server;
mod spread;
mod store;
mod sustain;
mod usage;
mod worker;

pub(crate) use children::be_one as be_a_child;
pub(crate) use options::{Mode, Options};
pub(crate) use run::run;
