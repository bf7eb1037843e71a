//! `registers`: list, show, delete.

mod delete;
mod list;
mod show;

use clap::{Args, Subcommand};
use gristmill::{Client, Name, Register, RegisterQuery, RegisterSelect, did_you_mean};

use crate::connect::Absent;
use crate::failure::{Failure, Result};
use crate::setup::Setup;
use crate::wire::Key;

/// List, show and delete registers: small values that processes agree on
#[derive(Debug, Args)]
pub(crate) struct Registers {
    #[command(subcommand)]
    command: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    List(list::List),
    Show(show::Show),
    Delete(delete::Delete),
}

impl Registers {
    pub(crate) async fn run(self, setup: &Setup) -> Result<()> {
        let reads = match &self.command {
            Act::List(_) | Act::Show(_) => true,
            Act::Delete(delete) => delete.only_looks(),
        };
        let client = setup.connect(if reads { Absent::Read } else { Absent::Refuse }).await?;
        match self.command {
            Act::List(list) => list.run(&client).await,
            Act::Show(show) => show.run(&client).await,
            Act::Delete(delete) => delete.run(&client).await,
        }
    }
}

/// Names one register.
#[derive(Debug, Clone, Args)]
struct Which {
    /// Its space, such as x.rates
    space: Name,
    /// Its key, written as a list shows it: \xNN is a byte, \\ a backslash
    #[arg(allow_hyphen_values = true)]
    key: Key,
}

/// So many keys are compared with one that does not exist.
const COMPARED: usize = 500;

impl Which {
    /// The register. Without one the failure names the nearest key.
    async fn find(&self, client: &Client) -> Result<Register> {
        if let Some(register) = client.register(self.space.as_str(), self.key.as_bytes()).await? {
            return Ok(register);
        }
        let query = RegisterQuery::new(self.space.clone(), RegisterSelect::All).limit(COMPARED);
        let page = client.registers(query).await?;
        let keys: Vec<String> = page.items.into_iter().map(|(key, _)| Key::from(key).to_string()).collect();
        let failure = Failure::not_found(format!("there is no {self}"));
        let near = did_you_mean(&self.key.to_string(), keys.iter().map(String::as_str));
        Err(failure.hint(match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("`gristmill registers list {}` shows what is there", self.space),
        }))
    }
}

impl std::fmt::Display for Which {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "register `{}` in `{}`", self.key, self.space)
    }
}
