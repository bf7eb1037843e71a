//! `cargo xtask test`: runs the tests and says what they covered.

mod matrix;
mod output;
mod run;

#[cfg(test)]
mod tests;

pub(crate) use run::run;
