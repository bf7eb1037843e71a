//! Lines of bounded length.

use std::io::{self, BufRead};

use gristmill::{MAX_ARGS_BYTES, MAX_METADATA_BYTES};

/// The longest line: the largest args and metadata, and room for the other members.
pub(super) const MAX_LINE_BYTES: usize = MAX_ARGS_BYTES + MAX_METADATA_BYTES + 64 * 1024;

/// One line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read<'a> {
    /// Its bytes without the line's end.
    Line(&'a [u8]),
    /// It is longer than [`MAX_LINE_BYTES`]; the rest was read over, not kept.
    TooLong,
}

/// Numbers lines from 1 and leaves blank ones out.
#[derive(Debug)]
pub(super) struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, buffer: Vec::new(), number: 0 }
    }

    /// The next line that is not blank, and its number.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, Read<'_>)>> {
        loop {
            self.buffer.clear();
            let limit = MAX_LINE_BYTES as u64 + 1;
            let length = io::Read::take(&mut self.input, limit).read_until(b'\n', &mut self.buffer)?;
            if length == 0 {
                return Ok(None);
            }
            self.number += 1;
            if length > MAX_LINE_BYTES && self.buffer.last() != Some(&b'\n') {
                self.input.skip_until(b'\n')?;
                return Ok(Some((self.number, Read::TooLong)));
            }
            if !self.buffer.trim_ascii().is_empty() {
                return Ok(Some((self.number, Read::Line(self.buffer.trim_ascii_end()))));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_end_is_never_kept_whole() {
        let long = vec![b'x'; MAX_LINE_BYTES * 3];
        let text = [b"a\r\n\n  \n".as_slice(), &long, b"\nlast"].concat();
        let mut lines = Lines::new(text.as_slice());
        assert_eq!(lines.next().expect("read"), Some((1, Read::Line(b"a"))));
        assert_eq!(lines.next().expect("read"), Some((4, Read::TooLong)));
        assert!(lines.buffer.capacity() < MAX_LINE_BYTES * 3);
        assert_eq!(lines.next().expect("read"), Some((5, Read::Line(b"last"))));
        assert_eq!(lines.next().expect("read"), None);
    }
}
