//! The lines of an attempt on their way into the store: bounded, the newest kept, each with its number, so
//! that one that is sent twice is stored once.

use std::collections::BTreeMap;

use gristmill_core::{LogLine, RecordRequest, Timestamp};

#[derive(Debug, Default)]
pub(super) struct Log {
    /// Those that wait, by their numbers.
    lines: BTreeMap<u32, LogLine>,
    /// The number of the latest line.
    latest: u32,
    /// Lines that gave way to newer ones.
    dropped: usize,
}

impl Log {
    pub(super) fn push(&mut self, at: Timestamp, text: &str) {
        self.latest = self.latest.saturating_add(1);
        self.lines.insert(self.latest, LogLine::new(at, text));
        self.bound();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The first lines that wait, as far as their numbers are in a row, and the number of the first; a loss
    /// of earlier ones is said.
    pub(super) fn take(&mut self) -> (u32, Vec<LogLine>) {
        let first = self.lines.first_key_value().map_or(1, |(number, _)| *number);
        let mut lines = Vec::new();
        let mut next = first;
        while let Some(line) = self.lines.remove(&next) {
            lines.push(line);
            next = next.saturating_add(1);
        }
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0
            && let Some(first) = lines.first_mut()
        {
            first.text = format!("… {} earlier lines are missing", dropped + 1);
        }
        (first, lines)
    }

    /// Lines that were taken and may not have been stored wait again.
    pub(super) fn put_back(&mut self, first: u32, lines: Vec<LogLine>) {
        self.lines.extend((first..=u32::MAX).zip(lines));
        self.bound();
    }

    fn bound(&mut self) {
        while self.lines.len() > RecordRequest::MAX_LOG_LINES {
            self.lines.pop_first();
            self.dropped += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: &[LogLine]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn the_newest_lines_are_kept_and_the_loss_is_said() {
        let mut log = Log::default();
        for number in 0..RecordRequest::MAX_LOG_LINES + 5 {
            log.push(Timestamp::EPOCH, &number.to_string());
        }
        let (first, lines) = log.take();
        assert_eq!((first, lines.len()), (6, RecordRequest::MAX_LOG_LINES));
        assert_eq!(lines[0].text, "… 6 earlier lines are missing");
        assert_eq!(lines[1].text, "6");
        assert!(log.is_empty());
    }

    #[test]
    fn lines_that_come_back_keep_their_numbers_and_their_order() {
        let mut log = Log::default();
        log.push(Timestamp::EPOCH, "a");
        log.push(Timestamp::EPOCH, "b");
        let (first, sent) = log.take();
        log.push(Timestamp::EPOCH, "c");
        let (later, others) = log.take();
        assert_eq!((first, later, texts(&others)), (1, 3, vec!["c"]));
        log.push(Timestamp::EPOCH, "d");
        log.put_back(first, sent);
        let (first, lines) = log.take();
        assert_eq!((first, texts(&lines)), (1, vec!["a", "b"]));
        let (first, lines) = log.take();
        assert_eq!((first, texts(&lines)), (4, vec!["d"]));
        assert!(log.is_empty());
    }

    #[test]
    fn lines_are_one_line_without_control_characters() {
        let mut log = Log::default();
        log.push(Timestamp::EPOCH, "a\tb\x1b[31m\nc\r\n");
        assert_eq!(log.take().1[0].text, "a\tb\\u{1b}[31m\\nc");
        log.push(Timestamp::EPOCH, &"é".repeat(LogLine::MAX_BYTES));
        assert!(log.take().1[0].text.ends_with('…'));
    }
}
