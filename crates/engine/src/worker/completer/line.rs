//! One line of results: those that wait for a call, the batch in flight, and how large a call may be.

use std::collections::VecDeque;

use gristmill_core::{FinishItem, MAX_BATCH_BYTES, batch_len};

use crate::lessen::TRIES_BEFORE_LESS;
use crate::run_result::RunResult;

/// The most items of one call. Where the store falls behind, a larger one spares it commits.
const BATCH: usize = 4_000;
/// What is handed over, or was too much for the store, goes in calls of at most so many.
pub(super) const SMALL_BATCH: usize = 1_000;

/// Which calls a result goes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineKind {
    /// Results that were not sent yet.
    New,
    /// Results to which the store replied [`Busy`](gristmill_core::Finished::Busy).
    Busy,
    /// Results that failed alone while other calls succeeded: each goes by itself.
    Apart,
}

/// The items of one call.
#[derive(Debug)]
pub(super) struct FinishBatch {
    pub(super) items: Vec<FinishItem>,
    pub(super) bytes: usize,
    /// How often these failed alone before.
    pub(super) tries: u32,
}

/// The results of one line.
#[derive(Debug)]
pub(super) struct Line {
    /// As they were handed over, each at most a call's worth, and how many bytes they are.
    waiting: VecDeque<(Vec<RunResult>, usize)>,
    in_flight: Vec<RunResult>,
    /// How many a call has at most: fewer after one that failed, and more again after each that did not.
    most: usize,
    /// Calls in a row that failed.
    failures: u32,
}

impl Default for Line {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), in_flight: Vec::new(), most: BATCH, failures: 0 }
    }
}

impl Line {
    fn waiting(&self) -> usize {
        self.waiting.iter().map(|(ended, _)| ended.len()).sum()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting() + self.in_flight.len()
    }

    pub(super) fn push_all(&mut self, ended: Vec<RunResult>) {
        let mut rest = ended;
        while !rest.is_empty() {
            let count = batch_len(rest.iter().map(|ended| ended.item.bytes()), SMALL_BATCH);
            let later = rest.split_off(count);
            let part = std::mem::replace(&mut rest, later);
            let bytes = bytes_of(&part);
            self.waiting.push_back((part, bytes));
        }
    }

    /// The next call's worth.
    fn take(&mut self, most: usize) -> Vec<RunResult> {
        let Some((mut batch, mut bytes)) = self.waiting.pop_front() else { return Vec::new() };
        if batch.len() > most {
            self.put_back(batch.split_off(most));
            return batch;
        }
        batch.reserve(self.waiting().min(most - batch.len()));
        while let Some((next, more)) = self.waiting.front()
            && batch.len() + next.len() <= most
            && bytes + more <= MAX_BATCH_BYTES
        {
            bytes += more;
            batch.extend(self.waiting.pop_front().unwrap_or_default().0);
        }
        batch
    }

    /// Takes the next batch in flight, or keeps the one that is; at most so many. Returns how many items it
    /// has.
    pub(super) fn begin(&mut self, most: usize) -> usize {
        if self.in_flight.is_empty() {
            self.in_flight = self.take(most.min(self.most));
        }
        self.in_flight.len()
    }

    /// The batch in flight.
    pub(super) fn batch(&self) -> FinishBatch {
        let ended = &self.in_flight;
        FinishBatch {
            items: ended.iter().map(|ended| ended.item.clone()).collect(),
            bytes: bytes_of(ended),
            tries: ended.iter().map(|ended| ended.tries).max().unwrap_or(0),
        }
    }

    pub(super) fn first_in_flight(&mut self) -> Option<&mut RunResult> {
        self.in_flight.first_mut()
    }

    /// The batch in flight, which is not any more.
    pub(super) fn take_in_flight(&mut self) -> Vec<RunResult> {
        std::mem::take(&mut self.in_flight)
    }

    /// The call succeeded.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
        self.most = (self.most * 2).min(BATCH);
    }

    /// The call failed: how often in a row, and whether it is worth a repeat as it is.
    pub(super) fn failed(&mut self) -> (u32, bool) {
        self.failures += 1;
        (self.failures, self.failures <= TRIES_BEFORE_LESS && self.most == BATCH)
    }

    /// The next calls have half as many items as this one.
    pub(super) fn halve(&mut self) {
        self.most = (self.in_flight.len() / 2).max(1);
        let later = self.in_flight.split_off(self.most);
        self.put_back(later);
    }

    /// Takes the end in flight, which failed alone.
    pub(super) fn set_apart(&mut self) -> Vec<RunResult> {
        self.failures = 0;
        let mut ended = self.take_in_flight();
        for ended in &mut ended {
            ended.tries += 1;
        }
        ended
    }

    fn put_back(&mut self, ended: Vec<RunResult>) {
        if !ended.is_empty() {
            let bytes = bytes_of(&ended);
            self.waiting.push_front((ended, bytes));
        }
    }
}

fn bytes_of(ended: &[RunResult]) -> usize {
    ended.iter().map(|ended| ended.item.bytes()).sum()
}
