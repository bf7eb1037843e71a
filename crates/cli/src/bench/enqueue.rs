//! `enqueue`: one by one from many callers, then in bulk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use gristmill::Client;
use tokio::task::JoinSet;

use super::job::{Bench, Form};
use super::options::Options;
use super::produce::bulk;
use super::report::{Figures, WalBytes};
use super::server::Server;
use super::store::{enter, places};
use crate::failure::{Failure, Result};

/// No worker runs: every job must lie in the store once.
pub(super) async fn run(
    client: &Client,
    server: &Server,
    bench: &Arc<Bench>,
    options: &Options,
) -> Result<Figures> {
    let form = Form::of(options);
    let jobs = options.jobs();
    server.settle().await?;
    let single = server.start().await?;
    singly(client, &form, jobs, options.callers).await?;
    let single = single.stop().await?;
    let all = jobs.saturating_mul(2);
    let many = server.start().await?;
    bulk(client, &form, jobs..all, options.batch).await?;
    let many = many.stop().await?;

    enter(client, &bench.account).await?;
    let stored = bench.account.of(all);
    let counted = places(client).await?.unended;
    Ok(Figures {
        enqueue_per_s: Some(single.per_second(u64::from(jobs))),
        bulk_enqueue_per_s: Some(many.per_second(u64::from(jobs))),
        client_cpu_us_per_job: Some(single.client_cpu_us_per_job(u64::from(jobs))),
        server_cpu_us_per_job: single.server_cpu_us_per_job(u64::from(jobs)),
        wal_bytes_per_job: WalBytes::of(single.wal_bytes_per_job(u64::from(jobs)), None),
        lost: u64::from(all) - stored.ran.min(counted),
        duplicated: stored.repeated,
        ..Figures::default()
    })
}

async fn singly(client: &Client, form: &Form, jobs: u32, callers: u32) -> Result<()> {
    let next = Arc::new(AtomicU32::new(0));
    let mut running = JoinSet::new();
    for _ in 0..callers.min(jobs) {
        let (client, form, next) = (client.clone(), form.clone(), next.clone());
        running.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= jobs {
                    return Ok::<_, Failure>(());
                }
                client.enqueue(form.job(number)).await?;
            }
        });
    }
    while let Some(caller) = running.join_next().await {
        caller.map_err(|error| Failure::failed(format!("a caller ended: {error}")))??;
    }
    Ok(())
}
