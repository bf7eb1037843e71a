//! `cargo xtask servers`: the servers that tests start must be installed, and the packages of examples in
//! other languages.

mod install;
mod languages;
mod plan;

pub(crate) use install::{ensure, needed_by, run};
pub(crate) use languages::ensure as ensure_languages;
