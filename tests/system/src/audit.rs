//! What the store says in the end, held against the contract.

use std::collections::BTreeMap;

use gristmill_core::{
    Backend, Call, JobFilter, JobId, JobRecord, JobState, ListRequest, Order, RunRecord, StatsRequest,
};
use gristmill_testkit::block_on;

use crate::store::Store;

/// Every job of a store with its runs.
#[derive(Debug)]
pub struct Account {
    /// Each job and its timeline.
    pub jobs: BTreeMap<JobId, (JobRecord, Vec<RunRecord>)>,
    /// Finishes that came after their lease had passed on.
    pub stale_finishes: u64,
}

impl Account {
    /// The jobs that ended in a state.
    pub fn ended(&self, state: JobState) -> impl Iterator<Item = &(JobRecord, Vec<RunRecord>)> {
        self.jobs.values().filter(move |(job, _)| job.state == state)
    }
}

/// Reads every job and run of a store, and checks what must hold of each that has ended: one terminal
/// transition, the last, or a cancel between runs; runs numbered one by one, so that none was lost or ended
/// twice; no two runs inside one valid lease.
///
/// # Panics
/// When the store cannot be read or a rule is broken.
pub fn audit(store: &Store) -> Account {
    store.with_backend(read)
}

fn read(store: &dyn Backend) -> Account {
    let mut account = Account { jobs: BTreeMap::new(), stale_finishes: 0 };
    let mut cursor = None;
    loop {
        let request = ListRequest::new(JobFilter::new()).limit(1_000).order(Order::OldestFirst).after(cursor);
        let page = block_on(store.list(Call::new(), request)).expect("the store lists its jobs");
        for job in page.items {
            let runs = block_on(store.list_runs(Call::new(), job.id, 1_000)).expect("the store lists runs");
            check(&job, &runs);
            account.jobs.insert(job.id, (job, runs));
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let stats = block_on(store.stats(Call::new(), StatsRequest::new(None)));
    account.stale_finishes = stats.expect("the store counts").stale_finishes;
    account
}

fn check(job: &JobRecord, runs: &[RunRecord]) {
    let id = job.id;
    let numbers: Vec<u32> = runs.iter().map(|run| run.run).collect();
    let expected: Vec<u32> = (1..=job.run).collect();
    if job.state.is_terminal() {
        assert_eq!(numbers, expected, "job {id}: every run has one record");
        let ends = runs.iter().filter(|run| run.state.is_terminal()).count();
        // One that was cancelled while it waited was ended by no run.
        let by_hand = job.state == JobState::Cancelled && ends == 0;
        assert!(by_hand || ends == 1, "job {id}: one terminal transition, not {ends}");
        assert!(
            by_hand || runs.last().map(|run| run.state) == Some(job.state),
            "job {id}: its last run ended it"
        );
    }
    for pair in runs.windows(2) {
        assert!(
            pair[0].finished_at <= pair[1].fetched_at,
            "job {id}: run {} was leased before run {} had ended",
            pair[1].run,
            pair[0].run
        );
    }
}
