//! `jobs`: list, show, retry, cancel, delete.

mod filter;
mod list;
mod show;
mod verb;

use clap::{Args, Subcommand};
use gristmill::Verb;

use crate::connect::Absent;
use crate::failure::Result;
use crate::setup::Setup;

/// List, show, retry, cancel and delete jobs
#[derive(Debug, Args)]
pub(crate) struct Jobs {
    #[command(subcommand)]
    command: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    List(list::List),
    Show(show::Show),
    /// Run jobs again, now, with their attempts at 0
    #[command(
        override_usage = "gristmill jobs retry [OPTIONS] <ID>...\n       gristmill jobs retry [OPTIONS] <FILTER>..."
    )]
    #[command(after_help = "Examples:\n  gristmill jobs retry 019a9b3e-7c00-7000-8000-000000000000\n  \
                            gristmill jobs retry --state discarded --queue mail --dry-run")]
    Retry(verb::Act),
    /// Cancel jobs; a running one is asked to stop
    #[command(
        override_usage = "gristmill jobs cancel [OPTIONS] <ID>...\n       gristmill jobs cancel [OPTIONS] <FILTER>..."
    )]
    #[command(after_help = "Examples:\n  gristmill jobs cancel 019a9b3e-7c00-7000-8000-000000000000\n  \
                            gristmill jobs cancel --kind report --state available --yes")]
    Cancel(verb::Act),
    /// Delete jobs with their history; running ones are refused
    #[command(
        override_usage = "gristmill jobs delete [OPTIONS] <ID>...\n       gristmill jobs delete [OPTIONS] <FILTER>..."
    )]
    #[command(after_help = "Examples:\n  gristmill jobs delete 019a9b3e-7c00-7000-8000-000000000000\n  \
                            gristmill jobs delete --state completed --dry-run")]
    Delete(verb::Act),
}

impl Jobs {
    pub(crate) async fn run(self, setup: &Setup) -> Result<()> {
        let reads = match &self.command {
            Act::List(_) | Act::Show(_) => true,
            Act::Retry(act) | Act::Cancel(act) | Act::Delete(act) => act.only_looks(),
        };
        let client = setup.connect(if reads { Absent::Read } else { Absent::Refuse }).await?;
        match self.command {
            Act::List(list) => list.run(&client).await,
            Act::Show(show) => show.run(&client).await,
            Act::Retry(act) => act.run(&client, Verb::Retry).await,
            Act::Cancel(act) => act.run(&client, Verb::Cancel).await,
            Act::Delete(act) => act.run(&client, Verb::Delete).await,
        }
    }
}
