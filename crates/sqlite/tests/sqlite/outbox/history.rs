//! Random histories in which the outbox and the backend take turns, against the same history of the backend
//! alone.

use std::io::Write as _;
use std::num::NonZeroU16;
use std::time::Duration;

use fastrand::Rng;
use gristmill_core::{
    Args, Decision, Ending, FetchedJob, FinishItem, JobId, JobPatch, NewJob, Priority, Retention, RunError,
    Timestamp, UniqueKey, When,
};

use super::twins::Twins;
use crate::fixture::{File, name};

const HISTORIES: u64 = 12;
const STEPS: usize = 40;

/// Says which history it was when it fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "the history of seed {}", self.0);
        }
    }
}

struct History {
    random: Rng,
    twins: Twins,
    file: File,
    jobs: Vec<JobId>,
    running: Vec<(FetchedJob, FetchedJob)>,
}

impl History {
    fn new(seed: u64) -> Self {
        let random = Rng::with_seed(seed);
        Self { random, twins: Twins::new(), file: File::new(), jobs: Vec::new(), running: Vec::new() }
    }

    fn step(&mut self) {
        match self.random.u8(0..10) {
            0..3 => {
                let jobs: Vec<NewJob> = (0..self.random.usize(0..6)).map(|_| self.job()).collect();
                self.jobs.extend(jobs.iter().map(|job| job.id));
                self.twins.enqueue(&jobs);
            }
            3..5 => {
                let ids = self.some_ids();
                self.twins.cancel(&ids, Some("somebody").filter(|_| self.random.bool()));
            }
            5..7 => {
                let (ids, patch) = (self.some_ids(), self.patch());
                self.twins.update(&ids, None, &patch);
            }
            7 => self.running.extend(self.twins.fetch(self.random.usize(1..5))),
            _ => self.finish(),
        }
    }

    fn job(&mut self) -> NewJob {
        let random = &mut self.random;
        let mut job = self.file.job();
        job.spec.priority = Priority::new(random.i64(-2..3)).expect("it is in range");
        if random.u8(0..3) == 0 {
            job.spec.queue = name("other");
        }
        if random.u8(0..3) == 0 {
            job.spec.unique_key = UniqueKey::new(random.u8(0..3).to_string()).ok();
        }
        if random.u8(0..4) == 0 {
            let kept = Duration::from_secs(random.u64(0..2));
            job.spec.retention = Some(Box::new(Retention::all(kept)));
        }
        job.when = match random.u8(0..6) {
            0 => When::Suspended,
            1 => When::After(Duration::from_millis(random.u64(0..3))),
            2 => When::At(Timestamp::from_millis(random.i64(0..9))),
            _ => When::Now,
        };
        if let Some(known) = random.choice(&self.jobs).filter(|_| random.u8(0..8) == 0) {
            job.id = *known;
        }
        job
    }

    fn some_ids(&mut self) -> Vec<JobId> {
        let unknown = self.file.job().id;
        let pick = |_| self.random.choice(&self.jobs).copied().unwrap_or(unknown);
        (0..4).map(pick).collect()
    }

    fn patch(&mut self) -> JobPatch {
        let random = &mut self.random;
        let mut patch = JobPatch::default();
        patch.priority = Priority::new(random.i64(-2..3)).ok().filter(|_| random.bool());
        patch.max_attempts = NonZeroU16::new(random.u16(0..4));
        patch.args = random.bool().then(Args::empty);
        patch.when = match random.u8(0..4) {
            0 => Some(When::Now),
            1 => Some(When::After(Duration::from_secs(random.u64(0..2)))),
            2 => Some(When::At(Timestamp::EPOCH)),
            _ => None,
        };
        patch
    }

    fn finish(&mut self) {
        if self.running.is_empty() {
            return;
        }
        let jobs = self.running.swap_remove(self.random.usize(0..self.running.len()));
        let how = self.random.u8(0..6);
        self.twins.finish(jobs, |FetchedJob { lease, .. }| match how {
            0 => FinishItem::fail(lease, Duration::ZERO, RunError::new("no")),
            1 => FinishItem::fail(lease, Duration::from_secs(1), RunError::new("no")),
            2 => FinishItem::new(lease, Decision::SnoozeAfter(Duration::from_secs(1)), Ending::Snoozed),
            3 => FinishItem::new(lease, Decision::Discard, Ending::Discarded),
            4 => FinishItem::give_back(lease, Duration::ZERO),
            _ => FinishItem::complete(lease),
        });
    }
}

#[test]
fn no_history_tells_the_outbox_from_the_backend() {
    for _ in 0..HISTORIES {
        let seed = fastrand::u64(..);
        let _told = Seed(seed);
        let mut history = History::new(seed);
        for _ in 0..STEPS {
            history.step();
        }
        for id in history.jobs.clone() {
            history.twins.get(id);
        }
    }
}
