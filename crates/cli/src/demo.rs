//! The first five minutes: real files, real failures, a table in which every job is accounted for.

mod files;
mod jobs;
mod report;
mod run;

pub(crate) use run::run;
