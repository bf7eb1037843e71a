//! `cargo xtask servers`: the servers that tests start must be installed.

mod install;
mod plan;

pub(crate) use install::{ensure, needed_by, run};
