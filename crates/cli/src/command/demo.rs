//! `demo`: the product at work on the files that lie around.

use std::path::PathBuf;

use clap::Args;

use crate::demo;
use crate::failure::Result;

/// Checksum every file below a folder, with failures on purpose, and account for every job
///
/// Makes a store of its own in a temporary folder (TMPDIR), one `checksum` job a file, and a few jobs that
/// fail, panic, snooze, are cancelled, delayed or duplicates; runs them all. Links are not followed, other
/// file systems not entered. Exit code 0 only if every job is accounted for.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gristmill demo\n  gristmill demo /usr/include --keep")]
pub(crate) struct Demo {
    /// Where the files are
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Leave the store behind, to look at
    #[arg(long)]
    keep: bool,
    /// End when all jobs have; this version has no pages to serve, so it always does
    #[arg(long)]
    no_serve: bool,
}

impl Demo {
    pub(crate) async fn run(self) -> Result<()> {
        demo::run(&self.dir, self.keep).await
    }
}
