//! The job: what producers and workers share, and what a store keeps of it.

pub(crate) mod args;
pub(crate) mod check;
pub(crate) mod encoding;
pub(crate) mod id;
pub(crate) mod metadata;
pub(crate) mod new;
pub(crate) mod options;
pub(crate) mod output;
pub(crate) mod priority;
pub(crate) mod record;
pub(crate) mod retention;
pub(crate) mod spec;
pub(crate) mod state;
mod trim;
pub(crate) mod unique;
