//! A client takes a backend, or an `Arc` of one that others hold, too.

use std::sync::Arc;

use gristmill_core::Backend;

/// What a client can be made of: a backend, an `Arc` of one, or an `Arc<dyn Backend>`.
///
/// `Form` keeps the three apart for the compiler and is never written.
pub trait IntoBackend<Form> {
    /// The shared backend.
    fn into_backend(self) -> Arc<dyn Backend>;
}

/// The form of a backend by value.
#[derive(Debug)]
pub enum Owned {}
/// The form of an `Arc` of a backend.
#[derive(Debug)]
pub enum Shared {}
/// The form of an `Arc<dyn Backend>`.
#[derive(Debug)]
pub enum SharedDyn {}

impl<B: Backend> IntoBackend<Owned> for B {
    fn into_backend(self) -> Arc<dyn Backend> {
        Arc::new(self)
    }
}

impl<B: Backend> IntoBackend<Shared> for Arc<B> {
    fn into_backend(self) -> Arc<dyn Backend> {
        self
    }
}

impl IntoBackend<SharedDyn> for Arc<dyn Backend> {
    fn into_backend(self) -> Arc<dyn Backend> {
        self
    }
}
