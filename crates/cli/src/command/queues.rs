//! `queues`: list, pause, resume.

use clap::{Args, Subcommand};
use gristmill::{Name, QueueRecord};

use crate::connect::Absent;
use crate::failure::{Failure, Result};
use crate::known::check_queue;
use crate::output::{Output, Table, say};
use crate::setup::Setup;
use crate::wire::QueueShape;

/// List, pause and resume queues
#[derive(Debug, Args)]
pub(crate) struct Queues {
    #[command(subcommand)]
    command: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// List every queue that has, or had, jobs or is paused
    #[command(after_help = "Example:\n  gristmill queues list --json")]
    List {
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Let no worker fetch from a queue; what runs goes on
    #[command(after_help = "Example:\n  gristmill queues pause mail --reason 'the relay is down'")]
    Pause {
        /// Which
        queue: Name,
        /// Why, for people
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
        /// Pause it although it has had no jobs yet, so that its first ones wait
        #[arg(long)]
        create: bool,
    },
    /// Let workers fetch from a queue again
    #[command(after_help = "Example:\n  gristmill queues resume mail")]
    Resume {
        /// Which
        queue: Name,
    },
}

impl Queues {
    pub(crate) async fn run(self, setup: &Setup) -> Result<()> {
        let reads = matches!(self.command, Act::List { .. });
        let client = setup.connect(if reads { Absent::Read } else { Absent::Refuse }).await?;
        match self.command {
            Act::List { json } => show(&client.queues().list().await?, json),
            Act::Pause { queue, reason, create } => {
                if !create {
                    check_queue(&client, &queue).await?;
                }
                let paused = client.queues().pause(queue.as_str(), &reason).await;
                paused.map_err(|error| Failure::from(error).maybe(MAYBE))?;
                say(format_args!("queue `{queue}` is paused"));
                Ok(())
            }
            Act::Resume { queue } => {
                check_queue(&client, &queue).await?;
                let resumed = client.queues().resume(queue.as_str()).await;
                resumed.map_err(|error| Failure::from(error).maybe(MAYBE))?;
                say(format_args!("queue `{queue}` is not paused"));
                Ok(())
            }
        }
    }
}

const MAYBE: &str = "it may have been done all the same; `gristmill queues list` shows it";

fn show(queues: &[QueueRecord], json: bool) -> Result<()> {
    let mut output = Output::stdout();
    if json {
        for queue in queues {
            output.json(&QueueShape::from(queue));
        }
        return output.finish();
    }
    let mut table = Table::new(["QUEUE", "PAUSED SINCE", "BY", "REASON"]);
    for queue in queues {
        table.row([
            queue.name.to_string(),
            queue.paused_at.map(|at| at.to_string()).unwrap_or_default(),
            queue.paused_by.clone().unwrap_or_default(),
            match &queue.undecodable {
                Some(what) => format!("undecodable: {what}"),
                None => queue.pause_reason.clone().unwrap_or_default(),
            },
        ]);
    }
    if table.is_empty() {
        say("no queue has had jobs yet");
    } else {
        output.line(table);
    }
    output.finish()
}
