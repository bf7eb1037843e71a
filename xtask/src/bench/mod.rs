//! `cargo xtask bench`: floors, product and peers in turn, and the ratios between them.

mod measure;
mod options;
mod plan;
mod programs;
mod report;
mod run;
mod server;

#[cfg(test)]
mod tests;

pub(crate) use run::run;
