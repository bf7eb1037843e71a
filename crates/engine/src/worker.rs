//! A running instance of the engine.

pub(crate) mod builder;
pub(crate) mod options;

pub use builder::WorkerBuilder;

use crate::Client;
use crate::handler::route::Routes;
use crate::hooks::Hooks;

/// A running instance of the engine; from [`Worker::builder`].
#[derive(Debug)]
pub struct Worker(
    #[expect(dead_code, reason = "the runtime is being built")]
    (Client, options::WorkerOptions, Routes, Hooks),
);

impl Worker {
    pub(crate) fn assemble(
        client: Client,
        options: options::WorkerOptions,
        routes: Routes,
        hooks: Hooks,
    ) -> Self {
        Self((client, options, routes, hooks))
    }
}
