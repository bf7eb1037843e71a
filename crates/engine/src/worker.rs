//! A running instance of the engine.

pub(crate) mod options;
