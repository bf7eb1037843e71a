//! What the transaction of an order does.

use std::ops::Range;

use gristmill_core::{Enqueue, Job, JobExt as _, NewJob};
use gristmill_outbox::Outbox;
use serde::{Deserialize, Serialize};

/// Orders go to these queues.
pub const QUEUES: [&str; 3] = ["north", "south", "west"];
/// Unique keys that many orders want.
const WANTED_KEYS: u8 = 5;

/// The job that ships one part of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ship {
    /// The order's number. A negative one is of a job that was rolled back to a savepoint.
    pub number: i64,
    /// Which part.
    pub part: u32,
}

impl Job for Ship {
    const KIND: &'static str = "ship";
    type Output = ();
}

/// One step of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The user's row.
    Row,
    /// Some of the order's jobs.
    Jobs(Range<usize>),
    /// Some of the order's jobs inside a savepoint that is released.
    JobsInSavepoint(Range<usize>),
    /// A job inside a savepoint that is rolled back.
    Regretted,
    /// A second job with the first one's unique key.
    SecondOfKey,
}

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It is committed.
    Commit,
    /// It is rolled back on purpose.
    RollBack,
}

/// The unique key of an order's first job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    None,
    Own,
    Wanted(u8),
}

/// What the transaction of an order does; the same for the same number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The order's number.
    pub number: i64,
    /// How many jobs ship it.
    pub parts: usize,
    /// The steps, in their order.
    pub steps: Vec<Step>,
    /// How it ends.
    pub end: End,
    /// Whether the transaction is repeated with the same ids if its result is unknown.
    pub is_repeated: bool,
    queue: &'static str,
    key: Key,
}

impl Plan {
    /// The plan of an order.
    pub fn of(number: i64) -> Self {
        let mut random = fastrand::Rng::with_seed(number.unsigned_abs());
        let parts = match random.u8(..100) {
            0..70 => 1,
            70..97 => random.usize(2..=6),
            _ => random.usize(20..=60),
        };
        let key = match random.u8(..100) {
            0..15 => Key::Own,
            15..25 => Key::Wanted(random.u8(..WANTED_KEYS)),
            _ => Key::None,
        };
        let end = if random.u8(..100) < 15 { End::RollBack } else { End::Commit };
        let queue = QUEUES[random.usize(..QUEUES.len())];
        let steps = steps(&mut random, parts, key);
        Self { number, parts, steps, end, is_repeated: random.bool(), queue, key }
    }

    /// The order's jobs, with new ids.
    ///
    /// # Panics
    /// Never: they are valid.
    pub fn jobs(&self, outbox: &Outbox) -> Vec<NewJob> {
        (0..).take(self.parts).map(|part| self.job(outbox, self.number, part)).collect()
    }

    /// A job that is rolled back to a savepoint.
    pub(crate) fn regretted(&self, outbox: &Outbox) -> NewJob {
        self.job(outbox, -self.number, 0)
    }

    /// A second job with the first one's unique key.
    pub(crate) fn second(&self, outbox: &Outbox) -> NewJob {
        self.job(outbox, self.number, 0)
    }

    /// Whether another order may hold its key.
    pub(crate) fn shares_its_key(&self) -> bool {
        matches!(self.key, Key::Wanted(_))
    }

    fn job(&self, outbox: &Outbox, number: i64, part: u32) -> NewJob {
        let job: Enqueue<Ship> = Ship { number, part }.queue(self.queue);
        let job = match self.key {
            Key::Own if part == 0 => job.unique_key(format!("own-{number}")),
            Key::Wanted(key) if part == 0 => job.unique_key(format!("wanted-{key}")),
            _ => job,
        };
        outbox.prepare(job).expect("the job is valid")
    }
}

fn steps(random: &mut fastrand::Rng, parts: usize, key: Key) -> Vec<Step> {
    let jobs = if random.u8(..100) < 25 { Step::JobsInSavepoint } else { Step::Jobs };
    let middle = random.usize(..=parts);
    let mut steps = match random.u8(..3) {
        0 => vec![Step::Row, jobs(0..parts)],
        1 => vec![jobs(0..parts), Step::Row],
        _ => vec![jobs(0..middle), Step::Row, jobs(middle..parts)],
    };
    if random.u8(..100) < 15 {
        steps.insert(random.usize(..=steps.len()), Step::Regretted);
    }
    if key == Key::Own && random.bool() {
        steps.push(Step::SecondOfKey);
    }
    steps
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_plan_has_its_row_and_each_of_its_jobs_once() {
        let outbox = Outbox::postgres();
        for number in 1..2_000 {
            let plan = Plan::of(number);
            assert_eq!(plan, Plan::of(number));
            assert_eq!(plan.steps.iter().filter(|step| **step == Step::Row).count(), 1);
            let parts = plan.steps.iter().flat_map(|step| match step {
                Step::Jobs(parts) | Step::JobsInSavepoint(parts) => parts.clone(),
                _ => 0..0,
            });
            assert_eq!(parts.collect::<Vec<_>>(), (0..plan.parts).collect::<Vec<_>>());
            assert_eq!(plan.jobs(&outbox).len(), plan.parts);
        }
    }

    #[test]
    fn plans_differ() {
        let plans: Vec<Plan> = (1..2_000).map(Plan::of).collect();
        let shapes: BTreeSet<String> = plans.iter().map(|plan| format!("{:?}", plan.steps)).collect();
        assert!(shapes.len() > 100, "{} shapes", shapes.len());
        for is_some in [
            |plan: &Plan| plan.end == End::RollBack,
            |plan: &Plan| plan.steps.contains(&Step::Regretted),
            |plan: &Plan| plan.steps.contains(&Step::SecondOfKey),
            |plan: &Plan| plan.shares_its_key() && plan.parts > 1,
            |plan: &Plan| plan.key == Key::None && plan.parts == 1,
        ] {
            let count = plans.iter().filter(|plan| is_some(plan)).count();
            assert!((50..1_900).contains(&count), "{count}");
        }
    }
}
