//! What a program says, in bounded memory: the last line of its standard output, the end of its standard
//! error.

use std::collections::VecDeque;

use gristmill::{JobContext, MAX_OUTPUT_BYTES, Output};
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// A longer line of standard error is cut into several.
const MAX_ERROR_LINE: usize = 4 * 1024;
/// Lines of standard error that an error message shows.
const TAIL_LINES: usize = 10;

/// What was heard so far.
#[derive(Debug, Default)]
pub(super) struct Heard {
    last_line: Pieces,
    tail: VecDeque<String>,
}

/// The line that is being read, and the one before it.
#[derive(Debug, Default)]
struct Pieces {
    /// Anything was written.
    is_used: bool,
    current: Vec<u8>,
    too_long: bool,
    last: Option<Vec<u8>>,
}

impl Heard {
    /// Listens until both streams end.
    ///
    /// # Cancel safety
    /// What was heard before stays heard.
    pub(super) async fn listen(
        &mut self,
        stdout: impl AsyncRead + Unpin,
        stderr: impl AsyncRead + Unpin,
        context: &JobContext,
    ) {
        let Self { last_line, tail } = self;
        tokio::join!(
            read(stdout, |bytes| last_line.take(bytes)),
            read_lines(stderr, |line| {
                context.log(&line);
                tail.push_back(line);
                if tail.len() > TAIL_LINES {
                    tail.pop_front();
                }
            }),
        );
    }

    /// The last line of standard output that is not blank, if it is JSON.
    pub(super) fn output(&mut self) -> Option<Output> {
        self.last_line.end_line();
        let line = self.last_line.last.take()?;
        serde_json::from_slice::<&RawValue>(&line).ok()?;
        Some(Output::from_json(line))
    }

    /// Whether anything came on standard output.
    pub(super) fn has_output(&self) -> bool {
        self.last_line.is_used
    }

    /// A message with the end of standard error behind it.
    pub(super) fn told(&self, message: &str) -> String {
        if self.tail.is_empty() {
            return message.to_owned();
        }
        let tail: Vec<&str> = self.tail.iter().map(String::as_str).collect();
        format!("{message}: {}", tail.join("\n"))
    }
}

impl Pieces {
    fn take(&mut self, bytes: &[u8]) {
        self.is_used |= !bytes.is_empty();
        let mut parts = bytes.split(|byte| *byte == b'\n');
        self.append(parts.next().unwrap_or_default());
        for part in parts {
            self.end_line();
            self.append(part);
        }
    }

    fn append(&mut self, part: &[u8]) {
        if self.current.len() + part.len() > MAX_OUTPUT_BYTES {
            self.too_long = true;
            self.current.clear();
        }
        if !self.too_long {
            self.current.extend_from_slice(part);
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.current);
        if std::mem::take(&mut self.too_long) {
            self.last = None;
        } else if !line.trim_ascii().is_empty() {
            self.last = Some(line);
        }
    }
}

async fn read(mut input: impl AsyncRead + Unpin, mut take: impl FnMut(&[u8])) {
    let mut buffer = vec![0; 8 * 1024];
    // A stream that cannot be read has ended.
    while let Ok(length @ 1..) = input.read(&mut buffer).await {
        take(&buffer[..length]);
    }
}

async fn read_lines(input: impl AsyncRead + Unpin, mut take: impl FnMut(String)) {
    let mut line = Vec::new();
    read(input, |bytes| {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(part);
            if line.ends_with(b"\n") || line.len() >= MAX_ERROR_LINE {
                take(text(&std::mem::take(&mut line)));
            }
        }
    })
    .await;
    if !line.is_empty() {
        take(text(&line));
    }
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line.trim_ascii_end()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(pieces: &[&[u8]]) -> Option<Vec<u8>> {
        let mut heard = Heard::default();
        for piece in pieces {
            heard.last_line.take(piece);
        }
        heard.output().map(|output| output.as_bytes().to_vec())
    }

    #[test]
    fn the_last_line_that_is_json_is_the_output() {
        assert_eq!(output(&[b"talk\n{\"a\"", b":1}\n\n"]), Some(b"{\"a\":1}".to_vec()));
        assert_eq!(output(&[b"1\nnot json"]), None);
        assert_eq!(output(&[]), None);
        assert_eq!(output(&[b"7"]), Some(b"7".to_vec()));
    }

    #[test]
    fn a_line_that_never_ends_is_not_kept() {
        let mut heard = Heard::default();
        for _ in 0..3 * MAX_OUTPUT_BYTES / 1024 {
            heard.last_line.take(&[b'1'; 1024]);
        }
        assert!(heard.last_line.current.capacity() <= 2 * MAX_OUTPUT_BYTES);
        assert_eq!(heard.output(), None);
    }
}
