//! `drain`: enqueue in bulk, then run until all is stored.

use std::sync::Arc;

use gristmill::Client;

use super::job::{Bench, Form};
use super::options::Options;
use super::produce::{bulk, unknown};
use super::report::{Figures, WalBytes};
use super::server::Server;
use super::store::places;
use super::worker::Workers;
use crate::failure::Result;
use crate::progress::Progress;

/// Only the drain is timed, from the start of the workers to the last finish; what is to be drained is there
/// before.
pub(super) async fn run(
    client: &Client,
    server: &Server,
    bench: &Arc<Bench>,
    options: &Options,
) -> Result<Figures> {
    let form = Form::of(options);
    let (history, jobs) = (options.history, options.jobs());
    let all = history.saturating_add(jobs).saturating_add(options.backlog);
    bench.account.expect(all);
    if history > 0 {
        bulk(client, &form, 0..history, options.batch).await?;
        let mut workers = Workers::start(client, bench, options)?;
        let mut progress = Progress::new("history", Some(u64::from(history)));
        workers.wait(u64::from(history), |completed| progress.set(completed)).await?;
        workers.stop().await?;
    }
    server.settle().await?;
    unknown(client, options.unknown, options.batch).await?;
    let enqueue = server.start_without_snapshot().await?;
    bulk(client, &form, history..all, options.batch).await?;
    let enqueue = enqueue.stop().await?;

    let mut progress = Progress::new("drained", Some(u64::from(jobs)));
    let drain = server.start().await?;
    let mut workers = Workers::start(client, bench, options)?;
    workers.wait(u64::from(jobs), |completed| progress.set(completed)).await?;
    let completed = workers.completed();
    let drain = drain.stop().await?;
    workers.stop().await?;
    drop(progress);

    let runs = bench.account.of(all);
    let stored = places(client).await?;
    // A job is where it ought to be if it ran and is completed (or deleted by that), or waits for its run.
    let finished = if options.delete_on_finish { runs.ran } else { stored.completed };
    // Those without a handler wait for ever.
    let waiting = stored.unended.saturating_sub(u64::from(options.unknown));
    let accounted = finished.min(runs.ran) + waiting + stored.discarded;
    Ok(Figures {
        enqueue_per_s: Some(enqueue.per_second(u64::from(all - history))),
        drain_per_s: Some(drain.per_second(completed)),
        client_cpu_us_per_job: Some(drain.client_cpu_us_per_job(completed)),
        server_cpu_us_per_job: drain.server_cpu_us_per_job(completed),
        wal_bytes_per_job: WalBytes::of(
            enqueue.wal_bytes_per_job(u64::from(all - history)),
            drain.wal_bytes_per_job(completed),
        ),
        discarded: Some(stored.discarded),
        lost: u64::from(all).saturating_sub(accounted),
        duplicated: runs.repeated.max(accounted.saturating_sub(u64::from(all))),
        ..Figures::default()
    })
}
