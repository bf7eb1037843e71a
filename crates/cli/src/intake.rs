//! A stream of NDJSON on its way into the store: read in bounded lines, checked first, enqueued in bulk.

mod check;
mod lines;
mod send;
mod source;

pub(crate) use check::{Checked, check};
pub(crate) use send::{Broken, Sent, send};
pub(crate) use source::{Source, Stream};

use gristmill::{Client, JobOptions, NewJob};

use crate::failure::Result;
use crate::wire::{Line, LineError};

/// What a line does not say.
#[derive(Debug, Clone)]
pub(crate) struct Defaults {
    pub(crate) kind: Option<String>,
    pub(crate) options: JobOptions,
}

impl Defaults {
    /// Reports a fault of the command line once, not for every line of the input.
    pub(crate) fn check(&self, client: &Client) -> Result<()> {
        let kind = self.kind.as_deref().unwrap_or("any");
        client.prepare_raw(kind, "{}", self.options.clone())?;
        Ok(())
    }

    /// The job of a line. Its id is minted here, once, so that whatever becomes of the enqueue it can be
    /// repeated.
    fn job(&self, client: &Client, line: &[u8]) -> std::result::Result<NewJob, LineError> {
        Line::parse(line, self.kind.as_deref(), &self.options)?.prepare(client.mint_id())
    }
}
