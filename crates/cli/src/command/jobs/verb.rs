//! `jobs retry`, `jobs cancel`, `jobs delete`: on named jobs, or on all that match.

use std::time::{Duration, Instant};

use clap::{ArgGroup, Args};
use gristmill::{
    Client, Count, Cursor, Error, JobFilter, JobId, ListRequest, Order, Select, StatsRequest, Verb, Verdict,
};

use super::filter::Filter;
use crate::confirm::Confirm;
use crate::failure::{Failure, Result};
use crate::known::check_filter;
use crate::output::{Output, say};
use crate::progress::Progress;
use crate::wire::VerdictShape;

/// Jobs a call of the store.
const CHUNK: usize = 500;
/// Jobs that a dry run shows, and how long it looks for them.
const PREVIEWED: usize = 10;
const PREVIEW_TIME: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").multiple(true).required(true)
    .args(["ids", "all", "state", "queue", "kind", "tag", "worker", "created_from", "created_before"])))]
pub(super) struct Act {
    /// These jobs
    #[arg(value_name = "ID", conflicts_with_all = ["all", "state", "queue", "kind", "tag", "worker", "created_from",
        "created_before"])]
    ids: Vec<JobId>,
    /// Every job, unless another flag narrows it
    #[arg(long, help_heading = "Filter")]
    all: bool,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    confirm: Confirm,
    /// Print one JSON object a job, one a line
    #[arg(long)]
    json: bool,
}

impl Act {
    /// Whether nothing is changed.
    pub(super) const fn only_looks(&self) -> bool {
        self.confirm.dry_run
    }

    pub(super) async fn run(self, client: &Client, verb: Verb) -> Result<()> {
        let mut report = Report { output: Output::stdout(), json: self.json, tally: Tally::default() };
        if self.ids.is_empty() {
            // Jobs that come to match while this runs are not meant: else a retry of what fails at once never
            // ends.
            let asked = self.filter.into_filter();
            let mut filter = asked.clone();
            if filter.created_before.is_none() {
                filter.created_before = Some(client.ping().await?.now + Duration::from_millis(1));
            }
            let count = count(client, asked).await?;
            matching(client, verb, filter, count, self.confirm, &mut report).await?;
        } else {
            named(client, verb, self.ids, self.confirm, &mut report).await?;
        }
        report.finish(verb)
    }
}

async fn named(
    client: &Client,
    verb: Verb,
    ids: Vec<JobId>,
    confirm: Confirm,
    report: &mut Report,
) -> Result<()> {
    if confirm.dry_run {
        for (id, job) in ids.iter().zip(client.jobs(ids.clone()).await?) {
            report.show(*id, if job.is_some() { "would" } else { "not_found" });
        }
        return Ok(());
    }
    for chunk in ids.chunks(CHUNK) {
        let acted = client.act(verb, Select::Ids(chunk.to_vec())).await;
        let reply = acted.map_err(|error| report.broken(error))?;
        reply.jobs.iter().for_each(|(id, verdict)| report.verdict(*id, verdict));
    }
    Ok(())
}

/// How many jobs match, as far as they can be counted in a few seconds.
async fn count(client: &Client, filter: JobFilter) -> Result<Count> {
    let counting = client.count(filter, Some(StatsRequest::DEFAULT_CAP));
    tokio::pin!(counting);
    if let Ok(count) = tokio::time::timeout(Duration::from_secs(1), &mut counting).await {
        return Ok(count?);
    }
    say("counting the jobs that match");
    Ok(counting.await?)
}

async fn matching(
    client: &Client,
    verb: Verb,
    filter: JobFilter,
    count: Count,
    confirm: Confirm,
    report: &mut Report,
) -> Result<()> {
    if count.value == 0 && !count.capped {
        check_filter(client, &filter).await?;
    }
    let number = match count {
        Count { value: 0, capped: true } => "an unknown number of".to_owned(),
        Count { value, capped: true } => format!("more than {value}"),
        Count { value, .. } => value.to_string(),
    };
    if confirm.dry_run {
        say(format_args!("would {} {number} jobs", verb.as_str()));
        return preview(client, filter, report).await;
    }
    if count.value == 0 && !count.capped {
        say("no job matches");
        return Ok(());
    }
    confirm.ask(&format!("{} {number} jobs?", verb.as_str()))?;
    let mut progress = Progress::new("done", (!count.capped).then_some(count.value));
    let mut cursor: Option<Cursor> = None;
    loop {
        let select = Select::Filter { filter: filter.clone(), cursor, limit: CHUNK };
        let reply = client.act(verb, select).await.map_err(|error| report.broken(error))?;
        reply.jobs.iter().for_each(|(id, verdict)| report.verdict(*id, verdict));
        progress.add(reply.jobs.len() as u64);
        match reply.next {
            Some(next) => cursor = Some(next),
            None => return Ok(()),
        }
    }
}

/// The first jobs that would be changed.
async fn preview(client: &Client, filter: JobFilter, report: &mut Report) -> Result<()> {
    let (begun, mut shown, mut cursor) = (Instant::now(), 0, None);
    while shown < PREVIEWED {
        let request = ListRequest::new(filter.clone()).limit(PREVIEWED - shown).after(cursor);
        let page = client.list(request.order(Order::OldestFirst)).await?;
        page.items.iter().for_each(|job| report.show(job.id, "would"));
        shown += page.items.len();
        cursor = page.next;
        if cursor.is_none() {
            break;
        } else if begun.elapsed() >= PREVIEW_TIME {
            say("stopped looking for more; narrow the filter to see them");
            break;
        }
    }
    Ok(())
}

/// What became of the jobs, said one by one and in sum.
struct Report {
    output: Output,
    json: bool,
    tally: Tally,
}

#[derive(Default)]
struct Tally {
    done: u64,
    untouched: u64,
    refused: u64,
    not_found: u64,
}

impl Report {
    fn verdict(&mut self, id: JobId, verdict: &Verdict) {
        let (count, word) = match verdict {
            Verdict::Done => (&mut self.tally.done, "done"),
            Verdict::Requested => (&mut self.tally.done, "requested"),
            Verdict::AlreadyTerminal => (&mut self.tally.untouched, "already_terminal"),
            Verdict::Conflict(_) => (&mut self.tally.refused, "conflict"),
            Verdict::NotFound => (&mut self.tally.not_found, "not_found"),
            Verdict::Refused(_) => (&mut self.tally.refused, "refused"),
        };
        *count += 1;
        self.show(id, word);
    }

    fn show(&mut self, id: JobId, result: &'static str) {
        if self.json {
            self.output.json(&VerdictShape { id, result });
        } else {
            self.output.line(format_args!("{id} {result}"));
        }
    }

    /// A call failed: says what is done, and what may be.
    fn broken(&self, error: Error) -> Failure {
        let Tally { done, untouched, refused, not_found } = self.tally;
        let looked_at = done + untouched + refused + not_found;
        let failure = Failure::from(error).maybe(format!("up to {CHUNK} more may be done"));
        let counts = format!("{done} jobs of the first {looked_at} are done");
        let hint = match failure.remedy() {
            Some(remedy) => format!("{counts}; {remedy}"),
            None => format!("{counts}; the same command goes on with the rest"),
        };
        failure.hint(hint)
    }

    /// The exit code is that of the worst verdict.
    fn finish(self, verb: Verb) -> Result<()> {
        self.output.finish()?;
        let Tally { done: _, untouched: _, refused, not_found } = self.tally;
        if refused > 0 {
            let why = match verb {
                Verb::Delete => "a running job cannot be deleted; cancel it first",
                Verb::Retry => {
                    "a running or suspended job cannot be retried, nor one whose unique key is held"
                }
                Verb::Cancel | Verb::Update | Verb::ReleaseHold => "the state they are in forbids it",
            };
            return Err(Failure::refused(match refused {
                1 => "1 job was refused".to_owned(),
                more => format!("{more} jobs were refused"),
            })
            .hint(why));
        }
        if not_found > 0 {
            return Err(Failure::not_found(match not_found {
                1 => "1 job is not there".to_owned(),
                more => format!("{more} jobs are not there"),
            }));
        }
        Ok(())
    }
}
