//! Rounds of maintenance. Where the contract leaves open which jobs a bounded round takes, the model adopts
//! those the store took, after a look at whether it might.

use std::collections::BTreeSet;

use gristmill_core::{JobId, JobState};

use super::Drive;
use crate::model::register::KEYS;
use crate::model::state::Worker;

impl Drive<'_> {
    /// Promotes the longest due first.
    pub(super) fn promote(&mut self, limit: usize) {
        let due = self.model.due(self.t.now());
        let reply = self.t.must(|backend, call| backend.promote(call, limit));
        let (promoted, left) = self.split(&due, |state| state == Some(JobState::Available));
        assert_eq!(
            (reply.done, promoted.len()),
            (count(&promoted), due.len().min(limit)),
            "the promoted jobs"
        );
        assert_more(reply.more, promoted.len(), left.len(), limit);
        let due_of =
            |ids: &[JobId]| -> Vec<_> { ids.iter().map(|id| self.model.jobs[id].run_at()).collect() };
        assert!(
            due_of(&promoted).iter().max() <= due_of(&left).iter().min() || left.is_empty(),
            "who is longest due"
        );
        for id in promoted {
            self.model.promote(id);
        }
        if let Some(due) = self.model.next_due() {
            assert!(reply.next_due.is_none_or(|said| said <= due), "the next is due at {due}: {reply:?}");
        }
    }

    pub(super) fn prune(&mut self, limit: usize) {
        // A smaller round may leave some of the registers that are to go, and does not say which.
        let limit =
            if self.model.has_registers_to_drop(self.t.now()) { limit.max(KEYS.len()) } else { limit };
        let past = self.model.past_retention(self.t.now());
        let reply = self.t.must(|backend, call| backend.prune(call, limit));
        let (pruned, left) = self.split(&past, |state| state.is_none());
        assert_eq!(reply.done, count(&pruned), "the pruned jobs");
        assert!(pruned.len() <= limit, "a round of {limit} pruned {pruned:?}");
        assert!(reply.more || left.is_empty(), "more is past its retention");
        for id in pruned {
            self.model.jobs.remove(&id);
        }
        self.model.drop_registers(self.t.now());
    }

    /// Rescues whole claims: the last one may go beyond the limit.
    pub(super) fn rescue(&mut self, limit: usize) {
        let now = self.t.now();
        let orphaned = self.model.declare_dead(now);
        let reply = self.t.must(|backend, call| backend.rescue(call, limit));
        let rescued: BTreeSet<JobId> = reply.jobs.iter().map(|job| job.id).collect();
        assert_eq!(rescued.len(), reply.jobs.len(), "a job was rescued twice: {reply:?}");
        let (taken, left): (Vec<_>, Vec<_>) = orphaned.into_iter().partition(|(.., id)| rescued.contains(id));
        assert_eq!(taken.len(), rescued.len(), "a job was rescued that nobody lost: {reply:?}");
        let is_of =
            |(worker, claim, _): &(_, _, JobId)| left.iter().any(|it| (&it.0, &it.1) == (worker, claim));
        assert!(!taken.iter().any(is_of), "half of a claim was rescued: {reply:?}");
        let size = |of: &(_, _, JobId)| taken.iter().filter(|it| (&it.0, &it.1) == (&of.0, &of.1)).count();
        let over = taken.iter().map(size).max().unwrap_or(1) - 1;
        assert!(taken.len() <= limit + over, "{} jobs in a round of {limit}", taken.len());
        assert_more(reply.more, taken.len(), left.len(), limit);
        for job in &reply.jobs {
            let queue = self.model.jobs[&job.id].spec.queue.clone();
            let state = self.model.crash(job.id, now);
            assert_eq!((&job.queue, job.state), (&queue, state), "the rescued job {}", job.id);
        }
        let next = self.model.workers.values().map(Worker::expires_at).min();
        assert_eq!(reply.next_due, next, "when the next lease ends");
    }

    /// Those of these jobs whose state now is as asked, and the others.
    fn split(&self, ids: &[JobId], is: impl Fn(Option<JobState>) -> bool) -> (Vec<JobId>, Vec<JobId>) {
        let found = self.t.find_all(ids);
        let states = found.into_iter().map(|job| job.map(|job| job.state));
        let (taken, left): (Vec<_>, Vec<_>) =
            ids.iter().copied().zip(states).partition(|(_, state)| is(*state));
        let ids = |pairs: Vec<(JobId, _)>| pairs.into_iter().map(|(id, _)| id).collect();
        (ids(taken), ids(left))
    }
}

/// A round that leaves something says so; one that was not full leaves nothing.
fn assert_more(more: bool, done: usize, left: usize, limit: usize) {
    assert!(more || left == 0, "{left} are left, and the round says it is the last one");
    assert!(!more || done >= limit, "a round of {limit} did {done} and says its limit was reached");
}

fn count(ids: &[JobId]) -> u64 {
    ids.len() as u64
}
