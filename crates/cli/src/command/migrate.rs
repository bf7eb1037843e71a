//! `migrate`: the store's schema.

use clap::{Args, Subcommand};
use gristmill::{MigrateMode, MigrationReport};

use crate::connect::Absent;
use crate::failure::Result;
use crate::output::{Output, say};
use crate::setup::Setup;
use crate::wire::MigrationShape;

/// Apply, show or print the schema
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gristmill migrate\n  gristmill migrate status --json\n  gristmill migrate sql"
)]
pub(crate) struct Migrate {
    #[command(subcommand)]
    command: Option<Act>,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Act {
    /// Bring the schema up to date, and make a store that is not there [default]
    #[command(after_help = "Example:\n  gristmill migrate up --db sqlite:jobs.db")]
    Up,
    /// Say which version the store has and what is missing (`gristmill doctor` tries it)
    #[command(after_help = "Example:\n  gristmill migrate status --json")]
    Status {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Print the statements that make the schema
    #[command(after_help = "Example:\n  gristmill migrate sql > schema.sql")]
    Sql,
}

impl Migrate {
    pub(crate) async fn run(self, setup: &Setup) -> Result<()> {
        match self.command.unwrap_or(Act::Up) {
            Act::Up => {
                let client = setup.connect(Absent::Migrate).await?;
                let report = client.migrate(MigrateMode::Up).await?;
                for step in &report.steps {
                    say(format_args!("applied {step}"));
                }
                say(format_args!("{} is at version {}", setup.url.shown(), report.current));
                Ok(())
            }
            Act::Status { json } => {
                let client = setup.connect(Absent::Read).await?;
                show(&client.migrate(MigrateMode::Status).await?, json)
            }
            Act::Sql => {
                let mut output = Output::stdout();
                output.line(setup.url.schema()?.trim_end());
                output.finish()
            }
        }
    }
}

fn show(report: &MigrationReport, json: bool) -> Result<()> {
    let mut output = Output::stdout();
    if json {
        output.json(&MigrationShape::from(report));
    } else {
        if report.current > report.latest {
            let (current, latest) = (report.current, report.latest);
            output
                .line(format_args!("version {current}, which serves this program of version {latest}, too"));
        } else {
            output.line(format_args!("version {} of {}", report.current, report.latest));
        }
        for step in &report.steps {
            output.line(format_args!("missing {step}"));
        }
    }
    output.finish()
}
