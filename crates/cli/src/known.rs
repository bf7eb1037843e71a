//! Names that are given to find something: reported, with the nearest one, where nothing has that name.

use gristmill::{Client, JobFilter, JobRecord, ListRequest, Name, WorkerRecord, did_you_mean};

use crate::failure::{Failure, Result};

/// So many of the newest jobs are looked at for names like the one that was not found.
const NEWEST: usize = 500;

/// A queue is known when it has, or had, jobs, or is paused, or when a worker serves it.
pub(crate) async fn check_queue(client: &Client, queue: &Name) -> Result<()> {
    let mut known: Vec<Name> = client.queues().list().await?.into_iter().map(|queue| queue.name).collect();
    if !known.contains(queue) {
        known.extend(client.workers().await?.into_iter().flat_map(|worker| worker.queues));
    }
    if known.contains(queue) {
        return Ok(());
    }
    Err(unknown("queue", queue, &known).unwrap_or_else(|failure| {
        failure.hint("`gristmill queues list` shows the queues; `queues pause --create` pauses a new one")
    }))
}

/// Checks the names of a filter that no job matches.
pub(crate) async fn check_filter(client: &Client, filter: &JobFilter) -> Result<()> {
    for queue in &filter.queues {
        check_queue(client, queue).await?;
    }
    if filter.kinds.is_empty() && filter.tags.is_empty() && filter.worker.is_none() {
        return Ok(());
    }
    let workers = client.workers().await?;
    let newest = client.list(ListRequest::new(JobFilter::new()).limit(NEWEST)).await?.items;
    for kind in &filter.kinds {
        let mut only = JobFilter::new();
        only.kinds = vec![kind.clone()];
        let is_served = workers.iter().any(|worker| worker.kinds.contains(kind));
        if !is_served && is_without_jobs(client, only).await {
            return Err(no_kind(kind, &workers, &newest));
        }
    }
    for tag in &filter.tags {
        let mut only = JobFilter::new();
        only.tags = vec![tag.clone()];
        if is_without_jobs(client, only).await {
            let known: Vec<Name> = newest.iter().flat_map(|job| job.spec.tags.iter().cloned()).collect();
            return Err(unknown("tag", tag, &known).unwrap_or_else(|failure| failure));
        }
    }
    if let Some(id) = filter.worker.filter(|id| workers.iter().all(|worker| worker.id != *id)) {
        let mut only = JobFilter::new();
        only.worker = Some(id);
        if is_without_jobs(client, only).await {
            return Err(Failure::not_found(format!("there is no worker {id}, and none of the jobs was its"))
                .hint("`gristmill workers list` shows the workers"));
        }
    }
    Ok(())
}

fn no_kind(kind: &Name, workers: &[WorkerRecord], newest: &[JobRecord]) -> Failure {
    let served = workers.iter().flat_map(|worker| worker.kinds.iter().cloned());
    let known: Vec<Name> = served.chain(newest.iter().map(|job| job.spec.kind.clone())).collect();
    unknown("kind", kind, &known).unwrap_or_else(|failure| failure)
}

/// Where that cannot be found out in time the name is believed.
async fn is_without_jobs(client: &Client, filter: JobFilter) -> bool {
    client.count(filter, Some(1)).await.is_ok_and(|count| count.value == 0)
}

/// The failure with the nearest name, or without one.
fn unknown(what: &str, name: &Name, known: &[Name]) -> std::result::Result<Failure, Failure> {
    let failure = Failure::not_found(format!("there is no {what} `{name}`"));
    match did_you_mean(name.as_str(), known.iter().map(Name::as_str)) {
        Some(near) => Ok(failure.hint(format!("did you mean `{near}`?"))),
        None => Err(failure),
    }
}
