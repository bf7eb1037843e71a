//! What the clients have written down, and what must follow from it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use gristmill_outbox_kill::{Fact, Plan, lines};

/// Of everything that a run has to meet, so many at least. Of 1,000 transactions cut off, dozens are in each
/// place.
const REACH: usize = 5;

/// All journals together.
#[derive(Debug, Default)]
pub(crate) struct Account {
    begun: u32,
    committed: BTreeSet<i64>,
    /// COMMIT was sent for them at least once.
    sent: BTreeSet<i64>,
    /// They have begun.
    known: BTreeSet<i64>,
    repeated: BTreeSet<i64>,
    uncertain: BTreeSet<i64>,
    rolled_back: u32,
    refused: u32,
    cut_by_server: u32,
    /// By what they were at.
    cut_with_client: BTreeMap<Fact, u32>,
    faults: Vec<String>,
}

impl Account {
    /// Reads a client's journal after its end.
    pub(crate) fn read(&mut self, journal: &Path) {
        let mut open = BTreeMap::new();
        for line in lines(journal) {
            let number = line.number;
            match line.fact {
                Fact::Began | Fact::BeganAgain => {
                    self.begun += 1;
                    self.known.insert(number);
                    if line.fact == Fact::BeganAgain {
                        self.repeated.insert(number);
                    }
                }
                Fact::Row | Fact::Jobs => {}
                Fact::Commits => drop(self.sent.insert(number)),
                Fact::Committed => drop(self.committed.insert(number)),
                Fact::RolledBack => self.rolled_back += 1,
                Fact::Lost => self.cut_by_server += 1,
                Fact::Uncertain => {
                    self.cut_by_server += 1;
                    self.uncertain.insert(number);
                }
                Fact::Refused => self.refused += 1,
                Fact::Fault => self.faults.push(format!("{number}: {}", line.note)),
            }
            if line.fact.is_end() {
                open.remove(&line.lane);
            } else {
                open.insert(line.lane, (line.fact, number));
            }
        }
        for (fact, number) in open.into_values() {
            *self.cut_with_client.entry(fact).or_default() += 1;
            if fact == Fact::Commits {
                self.uncertain.insert(number);
            }
        }
    }

    /// Transactions that a kill has cut off.
    pub(crate) fn cut(&self) -> u32 {
        self.cut_by_server + self.cut_with_client.values().sum::<u32>()
    }

    /// Whether kills came at all the moments that matter: a run without them would have shown nothing.
    ///
    /// # Panics
    /// When one was missed, or nothing was stored.
    fn check_reach(&self, rows: usize) {
        assert!(rows >= REACH && self.committed.len() >= REACH, "{rows} rows: {self}");
        for fact in [Fact::Row, Fact::Jobs, Fact::Commits] {
            let kills = self.cut_with_client.get(&fact).copied().unwrap_or_default();
            assert!(kills as usize >= REACH, "{kills} kills after `{}`: {self}", fact.name());
        }
        assert!(self.uncertain.len() >= REACH && self.repeated.len() >= REACH, "{self}");
    }

    /// Compares rows and jobs by the numbers of their orders, and both with what the clients know.
    ///
    /// # Panics
    /// When an order's row is there without its jobs or the other way round, or against what a client knows;
    /// when the run has missed a moment to kill in.
    pub(crate) fn check(&self, rows: &BTreeMap<i64, usize>, jobs: &BTreeMap<i64, Vec<u32>>) {
        assert!(self.faults.is_empty(), "{:#?}", self.faults);
        self.check_reach(rows.len());
        let without_jobs: Vec<&i64> = rows.keys().filter(|number| !jobs.contains_key(number)).collect();
        let without_row: Vec<&i64> = jobs.keys().filter(|number| !rows.contains_key(number)).collect();
        assert!(
            without_jobs.is_empty() && without_row.is_empty(),
            "rows {without_jobs:?}, jobs {without_row:?}"
        );
        for (number, parts) in jobs {
            let expected: Vec<u32> = (0..).take(rows[number]).collect();
            assert_eq!(*parts, expected, "order {number} has each of its jobs once");
            assert_eq!(expected.len(), Plan::of(*number).parts, "order {number} has its parts");
            assert!(self.sent.contains(number), "order {number} was never committed");
        }
        for number in &self.committed {
            assert!(rows.contains_key(number), "order {number} was committed");
        }
        for number in self.known.difference(&self.sent) {
            assert!(!rows.contains_key(number), "COMMIT was never sent for order {number}");
        }
        let known: Vec<&i64> = self.repeated.difference(&self.uncertain).collect();
        assert!(known.is_empty(), "{known:?} were repeated, and their ends were known");
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stored = self.uncertain.intersection(&self.committed).count();
        write!(
            f,
            "{} transactions begun, {} cut off by a kill ({} by the server's",
            self.begun,
            self.cut(),
            self.cut_by_server
        )?;
        for (fact, count) in &self.cut_with_client {
            write!(f, ", {count} by a client's after `{}`", fact.name())?;
        }
        write!(
            f,
            "), {} committed, {} rolled back, {} uncertain at COMMIT, {} repeated by the same ids, {stored} of \
             them to their end, {} refused",
            self.committed.len(),
            self.rolled_back,
            self.uncertain.len(),
            self.repeated.len(),
            self.refused
        )
    }
}
