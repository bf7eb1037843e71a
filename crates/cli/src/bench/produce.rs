//! Jobs in bulk: a batch a call, two calls in flight.

use std::ops::Range;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use gristmill::Client;

use super::job::{Form, Unknown};
use crate::failure::{Failure, Result};

/// Calls in flight.
const IN_FLIGHT: usize = 2;

/// Enqueues these numbers, in order.
pub(super) async fn bulk(client: &Client, form: &Form, numbers: Range<u32>, batch: u32) -> Result<()> {
    let starts = numbers.clone().step_by(batch as usize);
    stream::iter(starts)
        .map(|first| {
            let jobs = (first..first.saturating_add(batch).min(numbers.end)).map(|number| form.job(number));
            // Made in order; only their storing overlaps.
            let prepared: std::result::Result<Vec<_>, _> = jobs.map(|job| client.prepare(job)).collect();
            async move {
                client.enqueue_prepared(prepared?).await.map_err(|partly| Failure::from(partly.error))?;
                Ok::<_, Failure>(())
            }
        })
        .buffered(IN_FLIGHT)
        .try_collect::<()>()
        .await
}

/// Enqueues so many jobs that no worker has a handler for.
pub(super) async fn unknown(client: &Client, jobs: u32, batch: u32) -> Result<()> {
    let mut left = jobs;
    while left > 0 {
        let jobs = left.min(batch);
        client
            .enqueue_many((0..jobs).map(|_| Unknown))
            .await
            .map_err(|partly| Failure::from(partly.error))?;
        left -= jobs;
    }
    Ok(())
}
