//! What a client was at when it was killed.
//!
//! A line a fact, `LANE FACT NUMBER NOTE`, written by one call and so whole or not there:
//!
//! ```text
//! 0 began 1000017 0199…,0199…
//! 0 commits 1000017
//! 0 committed 1000017
//! ```

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// What a client has written down of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fact {
    /// It has begun; the note has the ids of its jobs.
    Began,
    /// It has begun again, because its result is unknown.
    BeganAgain,
    /// The user's row is inserted.
    Row,
    /// A job is enqueued.
    Jobs,
    /// COMMIT is sent next.
    Commits,
    /// COMMIT was answered.
    Committed,
    /// It was rolled back on purpose.
    RolledBack,
    /// The connection was lost before COMMIT.
    Lost,
    /// The answer to COMMIT was lost.
    Uncertain,
    /// The database asked for a repeat of the whole transaction, a deadlock say.
    Refused,
    /// Something else went wrong, which the note says.
    Fault,
}

impl Fact {
    const ALL: [(Self, &str); 11] = [
        (Self::Began, "began"),
        (Self::BeganAgain, "began-again"),
        (Self::Row, "row"),
        (Self::Jobs, "jobs"),
        (Self::Commits, "commits"),
        (Self::Committed, "committed"),
        (Self::RolledBack, "rolled-back"),
        (Self::Lost, "lost"),
        (Self::Uncertain, "uncertain"),
        (Self::Refused, "refused"),
        (Self::Fault, "fault"),
    ];

    /// The word for it.
    ///
    /// # Panics
    /// Never: each has one.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(fact, _)| *fact == self).map(|(_, name)| *name).expect("each has a name")
    }

    /// Whether the transaction is over for the client.
    pub fn is_end(self) -> bool {
        !matches!(self, Self::Began | Self::BeganAgain | Self::Row | Self::Jobs | Self::Commits)
    }
}

/// A line of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Which of the client's connections.
    pub lane: u32,
    /// What happened.
    pub fact: Fact,
    /// The order's number.
    pub number: i64,
    /// More of it.
    pub note: String,
}

impl Line {
    fn read(text: &str) -> Option<Self> {
        let mut words = text.splitn(4, ' ');
        let lane = words.next()?.parse().ok()?;
        let name = words.next()?;
        let fact = Fact::ALL.iter().find(|(_, other)| *other == name)?.0;
        let number = words.next()?.parse().ok()?;
        Some(Self { lane, fact, number, note: words.next().unwrap_or_default().to_owned() })
    }
}

/// A file that is written while the client runs.
#[derive(Debug)]
pub struct Journal(File);

impl Journal {
    /// A new one.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn create(path: &Path) -> io::Result<Self> {
        OpenOptions::new().create_new(true).append(true).open(path).map(Self)
    }

    /// Writes a line down.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn write(&self, lane: u32, fact: Fact, number: i64, note: &str) {
        let text = format!("{lane} {} {number} {}\n", fact.name(), note.replace('\n', " "));
        (&self.0).write_all(text.as_bytes()).expect("the journal is written");
    }
}

/// What was written down before the client's end; nothing where it has not come to begin.
///
/// # Panics
/// When a line cannot be read.
pub fn lines(path: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| Line::read(line).expect("the client writes whole lines")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for (fact, name) in Fact::ALL {
            let line = Line::read(&format!("3 {name} 17 a note")).unwrap();
            assert_eq!(line, Line { lane: 3, fact, number: 17, note: "a note".to_owned() });
            assert_eq!(fact.name(), name);
        }
        assert_eq!(Line::read("3 row 17 ").map(|line| line.note), Some(String::new()));
        assert_eq!(Line::read("3 nothing 17 "), None);
    }
}
