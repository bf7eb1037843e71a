//! Reading the few arguments these commands take.

use std::{collections::VecDeque, error::Error, fmt, str::FromStr};

use anyhow::Result;

/// The command line was not understood; the caller prints the usage and ends with code 2.
#[derive(Debug)]
pub(crate) struct UsageError(pub(crate) String);

impl fmt::Display for UsageError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Error for UsageError {}

/// The arguments of one command, taken from the front.
pub(crate) struct Arguments(VecDeque<String>);

impl Arguments {
    pub(crate) fn new(arguments: &[String]) -> Self {
        Self(arguments.iter().cloned().collect())
    }

    /// The next argument, flag or not.
    pub(crate) fn next(&mut self) -> Option<String> {
        self.0.pop_front()
    }

    /// The value that follows `flag`.
    pub(crate) fn value<T: FromStr>(&mut self, flag: &str) -> Result<T> {
        let Some(text) = self.0.pop_front() else {
            return Err(UsageError(format!("`{flag}` needs a value")).into());
        };
        text.parse().map_err(|_| UsageError(format!("`{text}` is no value for `{flag}`")).into())
    }

    /// Fails if anything is left.
    pub(crate) fn finish(mut self) -> Result<()> {
        match self.next() {
            None => Ok(()),
            Some(argument) => Err(unknown(&argument)),
        }
    }
}

/// The error for an argument that the command does not know.
pub(crate) fn unknown(argument: &str) -> anyhow::Error {
    UsageError(format!("unknown argument `{argument}`")).into()
}
