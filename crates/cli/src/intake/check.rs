//! Every line is looked at before the first is enqueued.

use gristmill::Client;

use super::Defaults;
use super::lines::{Lines, MAX_LINE_BYTES, Read};
use super::source::{Source, Spool, Stream, interrupted};
use crate::failure::Result;
use crate::wire::LineError;

/// The most invalid lines that are reported one by one.
const TOLD: usize = 100;

/// A stream that was read once.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) valid: u64,
    pub(crate) invalid: u64,
    /// The first of the invalid ones.
    pub(crate) told: Vec<(u64, LineError)>,
    again: Spool,
}

impl Checked {
    /// The stream from its beginning.
    pub(crate) fn reopen(self) -> Result<Stream> {
        self.again.reopen()
    }
}

/// Reads and checks every line; enqueues nothing.
pub(crate) fn check(source: &Source, client: &Client, defaults: &Defaults) -> Result<Checked> {
    let (input, again) = source.open_twice()?;
    let mut checked = Checked { valid: 0, invalid: 0, told: Vec::new(), again };
    let mut lines = Lines::new(input);
    while let Some((number, line)) = lines.next().map_err(|error| interrupted(&error))? {
        match read(line).and_then(|line| defaults.job(client, line)) {
            Ok(_) => checked.valid += 1,
            Err(error) => {
                checked.invalid += 1;
                if checked.told.len() < TOLD {
                    checked.told.push((number, error));
                }
            }
        }
    }
    Ok(checked)
}

/// The bytes of a line that is not too long.
pub(super) fn read(line: Read<'_>) -> std::result::Result<&[u8], LineError> {
    match line {
        Read::Line(line) => Ok(line),
        Read::TooLong => Err(LineError(format!(
            "longer than {MAX_LINE_BYTES} bytes; store large inputs elsewhere and pass a reference"
        ))),
    }
}
