//! The lines of an attempt on their way into the store: bounded, the newest kept.

use std::collections::VecDeque;

use gristmill_core::{LogLine, RecordRequest, Timestamp};

#[derive(Debug, Default)]
pub(super) struct Log {
    lines: VecDeque<LogLine>,
    /// Lines that gave way to newer ones.
    dropped: usize,
}

impl Log {
    pub(super) fn push(&mut self, at: Timestamp, text: &str) {
        if self.lines.len() >= RecordRequest::MAX_LOG_LINES {
            self.lines.pop_front();
            self.dropped += 1;
        }
        self.lines.push_back(LogLine::new(at, text));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Everything, the first line saying what is missing.
    pub(super) fn take(&mut self) -> Vec<LogLine> {
        let dropped = std::mem::take(&mut self.dropped);
        let mut lines = std::mem::take(&mut self.lines);
        if dropped > 0
            && let Some(first) = lines.front_mut()
        {
            first.text = format!("… {} earlier lines are missing", dropped + 1);
        }
        lines.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_are_kept_and_the_loss_is_said() {
        let mut log = Log::default();
        for number in 0..RecordRequest::MAX_LOG_LINES + 5 {
            log.push(Timestamp::EPOCH, &number.to_string());
        }
        let lines = log.take();
        assert_eq!(lines.len(), RecordRequest::MAX_LOG_LINES);
        assert_eq!(lines[0].text, "… 6 earlier lines are missing");
        assert_eq!(lines[1].text, "6");
        assert!(log.is_empty());
    }

    #[test]
    fn lines_are_one_line_without_control_characters() {
        let mut log = Log::default();
        log.push(Timestamp::EPOCH, "a\tb\x1b[31m\nc\r\n");
        assert_eq!(log.take()[0].text, "a\tb\\u{1b}[31m\\nc");
        log.push(Timestamp::EPOCH, &"é".repeat(LogLine::MAX_BYTES));
        assert!(log.take()[0].text.ends_with('…'));
    }
}
