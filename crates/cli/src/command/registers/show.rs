//! `registers show`: one register with its value.

use clap::Args;
use gristmill::Client;

use super::Which;
use crate::failure::Result;
use crate::output::{Output, escape};
use crate::wire::RegisterShape;

/// Show a register with its value
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gristmill registers show x.rates eu.vat")]
pub(super) struct Show {
    #[command(flatten)]
    which: Which,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) async fn run(self, client: &Client) -> Result<()> {
        let register = self.which.find(client).await?;
        let shape = RegisterShape::new(&self.which.space, self.which.key.clone(), &register);
        let mut output = Output::stdout();
        if self.json {
            output.json(&shape.with_value(&register));
            return output.finish();
        }
        for (name, value) in shape.facts() {
            output.line(format_args!("{name:<12}  {}", escape(&value)));
        }
        output.line("value");
        for line in RegisterShape::lines_of_value(&register) {
            output.line(format_args!("  {line}"));
        }
        output.finish()
    }
}
