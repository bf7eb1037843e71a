//! `completions`: for shells.

use clap::Args;
use clap_complete::Shell;

use crate::failure::Result;
use crate::output::Output;

/// Print the completions of a shell
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gristmill completions bash > /etc/bash_completion.d/gristmill")]
pub(crate) struct Completions {
    /// Whose
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, table: &mut clap::Command) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, table, "gristmill", &mut script);
        let mut output = Output::stdout();
        output.line(String::from_utf8_lossy(&script).trim_end());
        output.finish()
    }
}
