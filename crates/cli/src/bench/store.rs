//! What the store says of the jobs of a run.

use gristmill::{Client, Ending, JobFilter, JobRecord, JobState, ListRequest, Name, Order};

use super::account::Account;
use super::job::{Count, QUEUE};
use crate::failure::{Failure, Result};

/// Where the jobs are.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Places {
    /// Ended `completed`.
    pub(super) completed: u64,
    /// Ended `discarded`.
    pub(super) discarded: u64,
    /// In any state that is no end.
    pub(super) unended: u64,
}

/// Counts all jobs of the queue.
pub(super) async fn places(client: &Client) -> Result<Places> {
    let count = async |states: Vec<JobState>| {
        let mut filter = filter()?;
        filter.states = states;
        Ok::<_, Failure>(client.count(filter, None).await?.value)
    };
    Ok(Places {
        completed: count(vec![JobState::Completed]).await?,
        discarded: count(vec![JobState::Discarded, JobState::Cancelled]).await?,
        unended: count(JobState::ALL.iter().copied().filter(|state| !state.is_terminal()).collect()).await?,
    })
}

/// Refuses a store in which an earlier run has left jobs: they would be counted.
pub(super) async fn refuse_leftovers(client: &Client) -> Result<()> {
    let count = client.count(filter()?, Some(1)).await?;
    if count.value == 0 {
        return Ok(());
    }
    Err(Failure::refused(format!("queue `{QUEUE}` of the store is not empty")).hint(format!(
        "empty it with `gristmill jobs delete --queue {QUEUE}`, or name another store with --db"
    )))
}

/// Enters every stored job into an account by the number in its args.
pub(super) async fn enter(client: &Client, account: &Account) -> Result<()> {
    each(client, async |job| {
        let args: Count =
            job.spec.args.decode().map_err(|error| Failure::failed(format!("args: {error}")))?;
        account.ran(args.number);
        Ok(())
    })
    .await
}

/// Jobs with more than one completed run. Only a job that was leased more than once can have one.
pub(super) async fn completed_twice(client: &Client) -> Result<u64> {
    let mut twice = 0;
    each(client, async |job| {
        if job.run > 1 {
            let runs = client.runs(job.id).await?;
            let completed = runs.iter().filter(|run| run.ending == Ending::Completed).count();
            twice += u64::from(completed > 1);
        }
        Ok(())
    })
    .await?;
    Ok(twice)
}

async fn each(client: &Client, mut look: impl AsyncFnMut(&JobRecord) -> Result<()>) -> Result<()> {
    let mut cursor = None;
    loop {
        let request = ListRequest::new(filter()?).limit(ListRequest::MAX_LIMIT).order(Order::OldestFirst);
        let page = client.list(request.after(cursor)).await?;
        for job in &page.items {
            look(job).await?;
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

fn filter() -> Result<JobFilter> {
    let queue = Name::new(QUEUE).map_err(|error| Failure::failed(error.to_string()))?;
    Ok(JobFilter::new().queue(queue))
}
