//! A change of many things is asked for twice.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use clap::Args;

use crate::failure::{Failure, Result};

/// How a change of many things is confirmed.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Confirm {
    /// Say what would be changed, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask; for scripts
    #[arg(long, short)]
    pub(crate) yes: bool,
}

impl Confirm {
    /// Asks on a terminal; elsewhere refuses unless `--yes` was given.
    pub(crate) fn ask(self, question: &str) -> Result<()> {
        if self.yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Err(Failure::refused(format!("not confirmed: {question}"))
                .hint("add --yes, or look first with --dry-run"));
        }
        let _ = write!(io::stderr(), "{question} [y/N] ");
        let mut answer = String::new();
        io::stdin()
            .lock()
            .read_line(&mut answer)
            .map_err(|error| Failure::io("cannot read the answer", &error))?;
        if matches!(answer.trim(), "y" | "Y" | "yes") {
            Ok(())
        } else {
            Err(Failure::refused("not confirmed"))
        }
    }
}
