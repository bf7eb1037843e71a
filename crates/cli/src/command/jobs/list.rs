//! `jobs list`: pages through the store, so that any number of jobs can be listed.

use clap::Args;
use gristmill::{Client, Cursor, JobId, JobRecord, ListRequest, Order};

use super::filter::Filter;
use crate::failure::Result;
use crate::known::check_filter;
use crate::output::{Output, Table, say};
use crate::progress::Progress;
use crate::wire::JobShape;

/// List jobs, the newest first
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gristmill jobs list --state discarded\n  \
                        gristmill jobs list --kind checksum --json --limit 100000 | jq -r .id")]
pub(super) struct List {
    #[command(flatten)]
    filter: Filter,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = crate::command::at_least_one)]
    limit: usize,
    /// Begin behind this job; a list that is cut says which
    #[arg(long, value_name = "ID")]
    after: Option<JobId>,
    /// The oldest first
    #[arg(long)]
    oldest_first: bool,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) async fn run(self, client: &Client) -> Result<()> {
        let order = if self.oldest_first { Order::OldestFirst } else { Order::NewestFirst };
        let filter = self.filter.into_filter();
        let mut output = Output::stdout();
        let mut table = table();
        let mut cursor = self.after.map(Cursor);
        let mut left = self.limit;
        let mut is_empty = true;
        let mut progress = Progress::new("found", None);
        while left > 0 && !output.is_closed() {
            let limit = left.min(ListRequest::MAX_LIMIT);
            let request = ListRequest::new(filter.clone()).limit(limit).after(cursor).order(order);
            let page = client.list(request).await?;
            is_empty &= page.items.is_empty();
            left -= page.items.len().min(left);
            progress.add(page.items.len() as u64);
            for job in &page.items {
                if self.json {
                    output.json(&JobShape::from(job));
                } else {
                    table.row(cells(job));
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        drop(progress);
        if !self.json && !table.is_empty() {
            output.line(table);
        }
        output.finish()?;
        if is_empty && cursor.is_none() {
            check_filter(client, &filter).await?;
        }
        if is_empty && !self.json {
            say("no job matches");
        }
        if let Some(Cursor(id)) = cursor {
            say(format_args!("there may be more: --after {id}"));
        }
        Ok(())
    }
}

fn table() -> Table {
    Table::new(["ID", "KIND", "QUEUE", "STATE", "ATTEMPT", "RUN AT", "WHY"]).right([4])
}

fn cells(job: &JobRecord) -> [String; 7] {
    const SHOWN: usize = 60;
    let error = job.errors.last().map(|error| error.message.lines().next().unwrap_or_default());
    let bad = job.undecodable.as_ref().map(|what| format!("undecodable: {what}"));
    // The reason of a job that was discarded as undecodable says so, too.
    let reason = job.reason.as_deref().filter(|reason| bad.as_deref() != Some(reason));
    let parts: Vec<&str> = bad.as_deref().into_iter().chain(reason).chain(error).collect();
    let mut why = parts.join(": ");
    if let Some((end, _)) = why.char_indices().nth(SHOWN) {
        why.truncate(end);
        why.push('…');
    }
    [
        job.id.to_string(),
        job.spec.kind.to_string(),
        job.spec.queue.to_string(),
        job.state.to_string(),
        format!("{}/{}", job.attempt, job.spec.max_attempts),
        job.run_at.to_string(),
        why,
    ]
}
