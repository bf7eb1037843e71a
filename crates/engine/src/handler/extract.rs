//! What a handler may take behind its job.

use std::future::Future;

use gristmill_core::{Args, Capability, JobError, Metadata};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::BoxError;
use crate::{Client, JobContext};

/// Something a handler can take behind its job: an extractor.
///
/// An error ends the attempt before the handler is called: a plain one fails it, a
/// [`JobError`] decides otherwise.
///
/// ```
/// use gristmill_engine::{BoxError, FromJob, JobContext};
///
/// struct Tenant(String);
///
/// impl<S: Send + Sync> FromJob<S> for Tenant {
///     async fn from_job(context: &JobContext, _: &S) -> Result<Self, BoxError> {
///         let tenant = context.metadata().get("tenant").and_then(|value| value.as_str());
///         Ok(Self(tenant.ok_or("the job names no tenant")?.to_owned()))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be extracted in a job handler whose worker's state is `{S}`",
    label = "not an extractor",
    note = "behind the job a handler may take: `State<T>` (where `T: FromRef<{S}>`), `JobContext`, `Attempt`, `CancellationToken`, `Meta<T>`, `Client`, `Tx<D>`, or your own `FromJob` type"
)]
pub trait FromJob<S>: Sized {
    /// Makes it for one attempt.
    fn from_job(context: &JobContext, state: &S) -> impl Future<Output = Result<Self, BoxError>> + Send;

    /// What the backend must promise for it. A worker that takes it over a backend without that is refused
    /// when it is built.
    fn needs() -> Option<Capability> {
        None
    }
}

/// A part of the worker's state, for [`State`]. Everything that is `Clone` is a part of itself.
///
/// ```
/// use gristmill_engine::FromRef;
///
/// #[derive(Clone)]
/// struct Database;
/// struct App { database: Database }
///
/// impl FromRef<App> for Database {
///     fn from_ref(app: &App) -> Self { app.database.clone() }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "the worker's state `{S}` does not provide a `{Self}`",
    label = "`State<{Self}>` needs `{Self}: FromRef<{S}>`",
    note = "call `.state(..)` with a type that contains it, and add `impl FromRef<{S}> for {Self}`"
)]
pub trait FromRef<S> {
    /// Takes the part out, usually by cloning a handle.
    fn from_ref(state: &S) -> Self;
}

impl<T: Clone> FromRef<T> for T {
    fn from_ref(state: &T) -> T {
        state.clone()
    }
}

/// A part of what was given to `.state(…)`. A state that does not have it is an error of the compiler.
#[derive(Debug, Clone, Copy)]
pub struct State<T>(pub T);

/// Which attempt this is, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempt(pub u16);

/// The job's metadata, decoded. Metadata that does not decode discards the job: no later attempt would have
/// another.
#[derive(Debug, Clone, Copy)]
pub struct Meta<T>(pub T);

impl<S: Send + Sync, T: FromRef<S> + Send> FromJob<S> for State<T> {
    async fn from_job(_: &JobContext, state: &S) -> Result<Self, BoxError> {
        Ok(Self(T::from_ref(state)))
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromJob<S> for Meta<T> {
    async fn from_job(context: &JobContext, _: &S) -> Result<Self, BoxError> {
        let metadata = serde_json::to_value(context.metadata())?;
        match serde_json::from_value(metadata) {
            Ok(decoded) => Ok(Self(decoded)),
            Err(error) => Err(JobError::discard(format!("metadata does not decode: {error}")).into()),
        }
    }
}

macro_rules! from_context {
    ($($type:ty, $make:expr;)+) => {
        $(impl<S: Send + Sync> FromJob<S> for $type {
            async fn from_job(context: &JobContext, _: &S) -> Result<Self, BoxError> {
                let make: fn(&JobContext) -> Self = $make;
                Ok(make(context))
            }
        })+
    };
}

from_context! {
    JobContext, Clone::clone;
    Attempt, |context| Self(context.attempt());
    CancellationToken, JobContext::cancellation;
    Metadata, |context| context.metadata().clone();
    Args, |context| context.args().clone();
    Client, |context| context.client().clone();
}
