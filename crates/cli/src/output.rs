//! Data goes to stdout, messages go to stderr. Nothing else in this crate writes to either.

mod escape;
mod secrets;
mod table;

use std::io::{self, BufWriter, IsTerminal as _, StdoutLock, Write as _};

pub(crate) use escape::{escape, escape_json, steers};
use secrets::hint_without_secrets;
pub(crate) use secrets::{without_arguments, without_secrets};
pub(crate) use table::Table;

use crate::failure::{Failure, Result};

/// Data for the reader of stdout. A reader that has gone away is no error: everything written after that is
/// dropped, and [`Self::is_closed`] reports it to code that may stop.
pub(crate) struct Output {
    stdout: BufWriter<StdoutLock<'static>>,
    closed: bool,
    error: Option<io::Error>,
}

impl Output {
    pub(crate) fn stdout() -> Self {
        Self { stdout: BufWriter::new(io::stdout().lock()), closed: false, error: None }
    }

    /// Writes one line.
    pub(crate) fn line(&mut self, text: impl std::fmt::Display) {
        if !self.closed {
            let written = writeln!(self.stdout, "{text}");
            self.note(written);
        }
    }

    /// Writes one line of JSON, with characters escaped that would steer a terminal.
    pub(crate) fn json<T: serde::Serialize + ?Sized>(&mut self, value: &T) {
        let line = serde_json::to_string(value).expect("the shapes of the wire have string keys");
        self.line(escape_json(&line));
    }

    /// Hands what was written to the reader.
    pub(crate) fn flush(&mut self) {
        if !self.closed {
            let flushed = self.stdout.flush();
            self.note(flushed);
        }
    }

    /// Whether the reader has gone away.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Ends the output; a full disk below it is an error.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.flush();
        match self.error {
            None => Ok(()),
            Some(error) => Err(Failure::io("cannot write to stdout", &error)),
        }
    }

    fn note(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            self.closed = true;
            if error.kind() != io::ErrorKind::BrokenPipe {
                self.error = Some(error);
            }
        }
    }
}

/// Writes a message to stderr. Ignores errors: stderr may be closed.
pub(crate) fn say(text: impl std::fmt::Display) {
    // What was logged before comes first.
    crate::log::flush();
    let _ = writeln!(io::stderr(), "{text}");
}

/// Tells a failure: `error: …`, then `hint: …` where there is a remedy.
pub(crate) fn say_failure(failure: &Failure) {
    say(format_args!("{} {}", paint("error:", "31;1"), escape(&without_secrets(&failure.to_string()))));
    say_hint(failure);
}

/// Names what keeps a worker from its store, and the remedy.
pub(crate) fn say_waiting(failure: &Failure) {
    say(format_args!("waiting for the store: {}", escape(&without_secrets(&failure.to_string()))));
    say_hint(failure);
}

fn say_hint(failure: &Failure) {
    if let Some(hint) = failure.remedy() {
        say(format_args!("{} {}", paint("hint:", "36;1"), escape(&hint_without_secrets(hint))));
    }
}

/// Whether stderr shows a person what happens while it happens.
pub(crate) fn talks_to_a_person() -> bool {
    io::stderr().is_terminal()
}

fn paint(text: &str, style: &str) -> String {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if plain || !talks_to_a_person() { text.to_owned() } else { format!("\x1b[{style}m{text}\x1b[0m") }
}
