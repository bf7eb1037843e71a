//! Every job of the demo, as the store knows it at the end.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use gristmill::{Client, JobFilter, JobId, JobRecord, JobState, ListRequest, Order};

use crate::failure::Result;
use crate::output::{Output, Table, escape};

/// Reasons that are printed; the rest is counted.
const REASONS: usize = 8;

/// What the store says of the jobs.
#[derive(Debug, Default)]
pub(super) struct Account {
    kinds: BTreeMap<String, [u64; 8]>,
    /// Jobs that the store was given and does not have.
    pub(super) missing: usize,
    /// Jobs that the store has and was not given.
    pub(super) unknown: u64,
    /// How often a job of a kind ended badly for a reason, and a job to look at.
    reasons: BTreeMap<(String, String), (u64, JobId)>,
    waits: Vec<Duration>,
}

impl Account {
    /// Reads every job.
    pub(super) async fn of(client: &Client, mut given: HashSet<JobId>) -> Result<Self> {
        let mut account = Self::default();
        let mut cursor = None;
        loop {
            let request = ListRequest::new(JobFilter::new())
                .limit(ListRequest::MAX_LIMIT)
                .order(Order::OldestFirst)
                .after(cursor);
            let page = client.list(request).await?;
            for job in &page.items {
                if !given.remove(&job.id) {
                    account.unknown += 1;
                }
                account.add(job);
            }
            cursor = page.next;
            if cursor.is_none() {
                account.missing = given.len();
                account.waits.sort_unstable();
                return Ok(account);
            }
        }
    }

    fn add(&mut self, job: &JobRecord) {
        let kind = job.spec.kind.to_string();
        self.kinds.entry(kind.clone()).or_default()[job.state.index()] += 1;
        if let Some(at) = job.attempted_at.filter(|_| job.run == 1) {
            self.waits.push(at.since(job.run_at));
        }
        if job.state == JobState::Discarded {
            let why = job.errors.last().map(|error| error.message.as_str()).or(job.reason.as_deref());
            let why = why.unwrap_or("no reason was kept").to_owned();
            self.reasons.entry((kind, why)).or_insert((0, job.id)).0 += 1;
        }
    }

    /// Jobs in a state.
    pub(super) fn count(&self, state: JobState) -> u64 {
        self.kinds.values().map(|counts| counts[state.index()]).sum()
    }

    /// Jobs that have ended.
    pub(super) fn ended(&self) -> u64 {
        JobState::ALL.iter().copied().filter(|state| state.is_terminal()).map(|state| self.count(state)).sum()
    }

    /// Jobs that have not ended.
    pub(super) fn unended(&self) -> u64 {
        self.kinds.values().flatten().sum::<u64>() - self.ended()
    }

    /// Whether every job that was given has ended.
    pub(super) fn is_complete(&self) -> bool {
        self.missing == 0 && self.unknown == 0 && self.unended() == 0
    }

    /// How long jobs were due before they were started: the median, and what 99 of 100 did not exceed.
    pub(super) fn waits(&self) -> Option<(Duration, Duration)> {
        let rank =
            |percent: usize| self.waits.get((self.waits.len() * percent).div_ceil(100).saturating_sub(1));
        Some((*rank(50)?, *rank(99)?))
    }

    /// A job that ended badly.
    pub(super) fn example(&self) -> Option<JobId> {
        self.reasons.values().next().map(|(_, example)| *example)
    }

    /// Kinds by states.
    pub(super) fn table(&self) -> Table {
        let mut table =
            Table::new(["KIND", "COMPLETED", "CANCELLED", "DISCARDED", "NOT ENDED", "ALL"]).right(1..=5);
        let ends = [JobState::Completed, JobState::Cancelled, JobState::Discarded];
        let mut row = |name: &str, counts: &[u64; 8]| {
            let all: u64 = counts.iter().sum();
            let ended = ends.map(|state| counts[state.index()]);
            let unended = all - ended.iter().sum::<u64>();
            let numbers = ended.into_iter().chain([unended, all]).map(|count| count.to_string());
            table.row([name.to_owned()].into_iter().chain(numbers));
        };
        let mut totals = [0; 8];
        for (kind, counts) in &self.kinds {
            row(kind, counts);
            totals.iter_mut().zip(counts).for_each(|(total, count)| *total += count);
        }
        row("all", &totals);
        table
    }

    /// Why jobs were discarded.
    pub(super) fn show_reasons(&self, output: &mut Output) {
        if self.reasons.is_empty() {
            return;
        }
        output.line("\nDiscarded, and why:");
        for ((kind, why), (count, example)) in self.reasons.iter().take(REASONS) {
            output.line(format_args!("  {count} × {kind}: {} (as {example})", escape(why)));
        }
        let untold = self.reasons.len().saturating_sub(REASONS);
        if untold > 0 {
            output.line(format_args!("  and {untold} other reasons"));
        }
    }
}
