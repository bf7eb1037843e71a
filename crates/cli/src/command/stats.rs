//! `stats`: numbers of every queue.

use clap::Args;
use gristmill::{JobState, StatsReply, StatsRequest, format_duration};

use crate::connect::Absent;
use crate::failure::Result;
use crate::output::{Output, Table, say};
use crate::setup::Setup;
use crate::wire::{StatsShape, count_text};

/// Show how many jobs are in which state
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gristmill stats\n  gristmill stats --json | jq .totals.discarded")]
pub(crate) struct Stats {
    /// Count all; without it a count ends at one million
    #[arg(long)]
    exact: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Stats {
    pub(crate) async fn run(self, setup: &Setup) -> Result<()> {
        let client = setup.connect(Absent::Read).await?;
        let cap = (!self.exact).then_some(StatsRequest::DEFAULT_CAP);
        let reply = client.stats_with(StatsRequest::new(cap)).await?;
        let mut output = Output::stdout();
        if self.json {
            output.json(&StatsShape::from(&reply));
        } else {
            show(&reply, &mut output);
        }
        output.finish()
    }
}

fn show(reply: &StatsReply, output: &mut Output) {
    let mut table = Table::new([
        "QUEUE",
        "SUSPENDED",
        "SCHEDULED",
        "AVAILABLE",
        "RUNNING",
        "RETRYABLE",
        "COMPLETED",
        "CANCELLED",
        "DISCARDED",
        "OLDEST",
        "",
    ])
    .right(1..=9);
    for queue in &reply.queues {
        let counts = JobState::ALL.iter().map(|state| count_text(queue.count(*state)));
        let oldest = queue.oldest_available.map(format_duration).unwrap_or_default();
        let paused = if queue.queue.is_paused() { "paused" } else { "" };
        let name = [queue.queue.name.to_string()];
        table.row(name.into_iter().chain(counts).chain([oldest, paused.to_owned()]));
    }
    if table.is_empty() {
        say("no queue has had jobs yet");
    } else {
        output.line(table);
    }
    if reply.stale_finishes > 0 {
        say(format_args!("{} finishes came after their lease had passed on", reply.stale_finishes));
    }
}
