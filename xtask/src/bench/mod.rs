//! `cargo xtask bench`: floors and product in turn, and the ratios between them.

mod measure;
mod plan;
mod report;
mod run;

#[cfg(test)]
mod tests;

pub(crate) use run::run;
