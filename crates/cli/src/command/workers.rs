//! `workers`: who is at work.

use clap::{Args, Subcommand};
use gristmill::{Name, WorkerRecord};

use crate::connect::Absent;
use crate::failure::Result;
use crate::output::{Output, Table, say};
use crate::setup::Setup;
use crate::wire::WorkerShape;

/// See who is at work
#[derive(Debug, Args)]
pub(crate) struct Workers {
    #[command(subcommand)]
    command: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// List the workers, by the time they started
    #[command(after_help = "Example:\n  gristmill workers list --json")]
    List {
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
}

impl Workers {
    pub(crate) async fn run(self, setup: &Setup) -> Result<()> {
        let Act::List { json } = self.command;
        let client = setup.connect(Absent::Read).await?;
        let workers = client.workers().await?;
        let mut output = Output::stdout();
        if json {
            for worker in &workers {
                output.json(&WorkerShape::from(worker));
            }
            return output.finish();
        }
        let mut table =
            Table::new(["WORKER", "LABEL", "STARTED", "HEARTBEAT", "RUNNING", "QUEUES", "KINDS"]).right([4]);
        for worker in &workers {
            table.row(cells(worker));
        }
        if table.is_empty() {
            say("no worker is at work");
        } else {
            output.line(table);
        }
        output.finish()
    }
}

fn cells(worker: &WorkerRecord) -> [String; 7] {
    let names = |names: &[Name]| names.iter().map(Name::as_str).collect::<Vec<_>>().join(" ");
    [
        worker.id.to_string(),
        match &worker.undecodable {
            Some(what) => format!("{} (undecodable: {what})", worker.label),
            None => worker.label.clone(),
        },
        worker.started_at.to_string(),
        worker.heartbeat_at.to_string(),
        format!("{}/{}", worker.running, worker.slots),
        names(&worker.queues),
        names(&worker.kinds),
    ]
}
