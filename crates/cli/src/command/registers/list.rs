//! `registers list`: pages through a space, so that any number of registers can be listed.

use clap::Args;
use gristmill::{Client, Name, RegisterCursor, RegisterQuery, RegisterSelect};

use crate::failure::Result;
use crate::output::{Output, Table, say};
use crate::progress::Progress;
use crate::wire::{Key, RegisterShape};

/// List the registers of a space by key, without their values
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gristmill registers list x.rates\n  \
                        gristmill registers list x.rates --prefix eu. --json --limit 100000")]
pub(super) struct List {
    /// Which space; exactly this one
    space: Name,
    /// Only keys that begin with this, written as a list shows them
    #[arg(long, value_name = "PREFIX", allow_hyphen_values = true)]
    prefix: Option<Key>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = crate::command::at_least_one)]
    limit: usize,
    /// Begin behind this key; a list that is cut says which
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    after: Option<Key>,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) async fn run(self, client: &Client) -> Result<()> {
        let select = self.prefix.map_or(RegisterSelect::All, |key| RegisterSelect::Prefix(key.into_bytes()));
        let query = RegisterQuery::new(self.space.clone(), select);
        let mut output = Output::stdout();
        let mut table = Table::new(RegisterShape::HEADINGS).right([1, 5]);
        let mut cursor = self.after.map(|key| RegisterCursor { due: None, key: key.into_bytes() });
        let mut left = self.limit;
        let mut is_empty = true;
        let mut progress = Progress::new("found", None);
        while left > 0 && !output.is_closed() {
            let page = client
                .registers(query.clone().limit(left.min(RegisterQuery::MAX_LIMIT)).after(cursor))
                .await?;
            is_empty &= page.items.is_empty();
            left -= page.items.len().min(left);
            progress.add(page.items.len() as u64);
            for (key, register) in &page.items {
                let shape = RegisterShape::new(&self.space, Key::from(key.clone()), register);
                if self.json {
                    output.json(&shape);
                } else {
                    table.row(shape.cells());
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        drop(progress);
        if !self.json && !table.is_empty() {
            output.line(table);
        }
        output.finish()?;
        if is_empty && !self.json {
            say(format_args!("no register of `{}` matches", self.space));
        }
        if let Some(cursor) = cursor {
            let key = Key::from(cursor.key).to_string();
            say(format_args!("there may be more: --after '{key}'"));
        }
        Ok(())
    }
}
