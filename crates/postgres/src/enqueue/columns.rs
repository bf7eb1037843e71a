//! Jobs as the arrays of a statement.

use gristmill_core::{Timestamp, When};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::{Check, Item};
use crate::row::{self, Options};

/// One array a column. Those of things that no job has are empty, which costs nothing: the statement pads
/// them with NULL.
pub(super) struct Columns<'j> {
    ids: Vec<Uuid>,
    queues: Vec<i32>,
    priorities: Vec<i16>,
    kinds: Vec<&'j str>,
    max_attempts: Vec<i32>,
    args: Vec<&'j [u8]>,
    options: Vec<Option<String>>,
    delays: Vec<Option<i64>>,
    instants: Vec<Option<i64>>,
    held: Vec<Option<bool>>,
    /// The queues that have to be there.
    checked: Vec<i32>,
}

impl<'j> Columns<'j> {
    pub(super) fn of(items: &[Item<'j>], check: Check) -> Self {
        let jobs = || items.iter().map(|(job, _)| *job);
        Self {
            ids: jobs().map(|job| row::uuid(job.id)).collect(),
            queues: items.iter().map(|(_, queue)| *queue).collect(),
            priorities: jobs().map(|job| i16::from(job.spec.priority.get())).collect(),
            kinds: jobs().map(|job| job.spec.kind.as_str()).collect(),
            max_attempts: jobs().map(|job| i32::from(job.spec.max_attempts.get())).collect(),
            args: jobs().map(|job| job.spec.args.as_bytes()).collect(),
            options: unless_all_none(jobs().map(|job| Options::of(&job.spec))),
            delays: unless_all_none(jobs().map(|job| delay(job.when))),
            instants: unless_all_none(jobs().map(|job| instant(job.when))),
            held: unless_all_none(jobs().map(|job| is_held(job.when).then_some(true))),
            checked: match check {
                Check::Queues => super::different_queues(items),
                Check::Nothing => Vec::new(),
            },
        }
    }

    /// In the order of `store_jobs.sql`.
    #[expect(clippy::ref_option, reason = "a parameter of a statement is a reference to the whole value")]
    pub(super) fn params<'p>(&'p self, now: &'p Option<i64>) -> [&'p (dyn ToSql + Sync); 12] {
        [
            now,
            &self.ids,
            &self.queues,
            &self.priorities,
            &self.kinds,
            &self.max_attempts,
            &self.args,
            &self.options,
            &self.delays,
            &self.instants,
            &self.held,
            &self.checked,
        ]
    }
}

/// Nothing where there would be only NULLs.
fn unless_all_none<T>(values: impl Iterator<Item = Option<T>>) -> Vec<Option<T>> {
    let mut collected = Vec::new();
    for (place, value) in values.enumerate() {
        if value.is_some() {
            collected.resize_with(place, || None);
            collected.push(value);
        }
    }
    collected
}

fn delay(when: When) -> Option<i64> {
    match when {
        When::After(delay) => Some(row::millis(delay).min(Timestamp::MAX.as_millis())),
        When::Now | When::At(_) | When::Suspended => None,
    }
}

fn instant(when: When) -> Option<i64> {
    match when {
        When::At(at) => Some(at.as_millis()),
        When::Now | When::After(_) | When::Suspended => None,
    }
}

/// Held until something releases it.
fn is_held(when: When) -> bool {
    match when {
        When::Suspended => true,
        When::Now | When::After(_) | When::At(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_without_values_is_empty_and_one_with_values_reaches_to_the_last() {
        assert!(unless_all_none([None::<i64>, None].into_iter()).is_empty());
        let some = unless_all_none([None, Some(1), None, Some(2), None].into_iter());
        assert_eq!(some, [None, Some(1), None, Some(2)]);
    }
}
