//! What is kept of an error: bounded, and never a reason for a finish to fail.

use serde::{Deserialize, Serialize};

use crate::escape::escape;

const MAX_MESSAGE_BYTES: usize = 16 * 1024;
const MAX_BACKTRACE_BYTES: usize = 64 * 1024;
/// Control characters an error may span lines with.
const KEPT: &[char] = &['\n', '\t'];

/// An error as a run's record keeps it: at most 16 KiB of message and 64 KiB of backtrace, cut with `…`, NUL
/// and other control characters (but newline and tab) escaped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunError {
    /// The error and its sources, joined by `: `.
    pub message: String,
    /// Where it came from, where that is known.
    pub backtrace: Option<String>,
}

impl RunError {
    /// An error with a message.
    pub fn new(message: impl AsRef<str>) -> Self {
        Self { message: escape(message.as_ref(), MAX_MESSAGE_BYTES, KEPT), backtrace: None }
    }

    /// The same error with a backtrace.
    pub fn with_backtrace(mut self, backtrace: impl AsRef<str>) -> Self {
        self.backtrace = Some(escape(backtrace.as_ref(), MAX_BACKTRACE_BYTES, KEPT));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_messages_are_escaped_and_cut() {
        assert_eq!(RunError::new("a\0b\x1b[31m\r\nc").message, "a\\u{0}b\\u{1b}[31m\\r\nc");
        let long = RunError::new("é".repeat(MAX_MESSAGE_BYTES)).message;
        assert!(long.len() <= MAX_MESSAGE_BYTES + '…'.len_utf8() && long.ends_with('…'));
    }
}
