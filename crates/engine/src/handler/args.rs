//! What the arguments of a handler must be.

use std::future::Future;

use gristmill_core::{Capability, Job};

use super::{BoxError, FromJob};
use crate::JobContext;

/// The arguments of a typed handler: a [`Job`], then up to eight extractors ([`FromJob`]).
pub trait HandlerArgs<S>: Sized + Send {
    /// The first argument.
    type Job: Job;

    /// Makes the arguments from a decoded job. Extractors run in their order; the first error ends the
    /// attempt.
    fn extract(
        job: Self::Job,
        context: &JobContext,
        state: &S,
    ) -> impl Future<Output = Result<Self, BoxError>> + Send;

    /// What the extractors need of the backend.
    fn needs() -> Vec<Capability> {
        Vec::new()
    }
}

/// The arguments of a raw handler: one to nine extractors, among which [`Args`](gristmill_core::Args) is the
/// JSON.
pub trait RawHandlerArgs<S>: Sized + Send {
    /// Makes the arguments. Extractors run in their order; the first error ends the attempt.
    fn extract(context: &JobContext, state: &S) -> impl Future<Output = Result<Self, BoxError>> + Send;

    /// What the extractors need of the backend.
    fn needs() -> Vec<Capability> {
        Vec::new()
    }
}

macro_rules! typed {
    ($($extractor:ident),*) => {
        impl<S, J, $($extractor,)*> HandlerArgs<S> for (J, $($extractor,)*)
        where
            S: Send + Sync,
            J: Job,
            $($extractor: FromJob<S> + Send,)*
        {
            type Job = J;

            async fn extract(job: J, _context: &JobContext, _state: &S) -> Result<Self, BoxError> {
                Ok((job, $($extractor::from_job(_context, _state).await?,)*))
            }

            fn needs() -> Vec<Capability> {
                [None, $(<$extractor as FromJob<S>>::needs(),)*].into_iter().flatten().collect()
            }
        }
    };
}

macro_rules! raw {
    ($($extractor:ident),+) => {
        impl<S, $($extractor,)+> RawHandlerArgs<S> for ($($extractor,)+)
        where
            S: Send + Sync,
            $($extractor: FromJob<S> + Send,)+
        {
            async fn extract(context: &JobContext, state: &S) -> Result<Self, BoxError> {
                Ok(($($extractor::from_job(context, state).await?,)+))
            }

            fn needs() -> Vec<Capability> {
                [$(<$extractor as FromJob<S>>::needs(),)+].into_iter().flatten().collect()
            }
        }
    };
}

typed!();
typed!(A);
typed!(A, B);
typed!(A, B, C);
typed!(A, B, C, D);
typed!(A, B, C, D, E);
typed!(A, B, C, D, E, F);
typed!(A, B, C, D, E, F, G);
typed!(A, B, C, D, E, F, G, H);

raw!(A);
raw!(A, B);
raw!(A, B, C);
raw!(A, B, C, D);
raw!(A, B, C, D, E);
raw!(A, B, C, D, E, F);
raw!(A, B, C, D, E, F, G);
raw!(A, B, C, D, E, F, G, H);
raw!(A, B, C, D, E, F, G, H, I);
