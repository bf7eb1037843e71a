//! Results on their way to the store, in three lines: those that wait for a call, and those of the calls in
//! flight.

use std::sync::{Mutex, MutexGuard, PoisonError};

use gristmill_core::{Finished, JobId};
use tokio::sync::Notify;

use super::line::{FinishBatch, Line, LineKind};
use crate::run_result::RunResult;

/// Busy ends beyond this many hold up fetches: else a worker whose every job meets the lock would collect
/// them without bound.
const MOST_BUSY: usize = 4_000;

/// Results on their way to the store, in three lines.
#[derive(Debug, Default)]
pub(crate) struct Finishes {
    inside: Mutex<Inside>,
    bells: [Notify; 3],
    emptied: Notify,
}

#[derive(Debug, Default)]
struct Inside([Line; 3]);

impl Inside {
    fn of(&mut self, line: LineKind) -> &mut Line {
        &mut self.0[line as usize]
    }

    fn len(&self) -> usize {
        self.0.iter().map(Line::len).sum()
    }
}

impl Finishes {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push_all(&self, ended: Vec<RunResult>) {
        self.inside().of(LineKind::New).push_all(ended);
        self.bells[LineKind::New as usize].notify_one();
    }

    /// Waits for something to be handed over.
    pub(super) async fn handed_over(&self, line: LineKind) {
        self.bells[line as usize].notified().await;
    }

    /// How many are not answered.
    pub(crate) fn len(&self) -> usize {
        self.inside().len()
    }

    pub(super) fn is_empty(&self, line: LineKind) -> bool {
        self.inside().of(line).len() == 0
    }

    /// How many the store is behind with. A few that wait for a lock do not count: the store does all it can.
    pub(crate) fn backlog(&self) -> usize {
        let mut inside = self.inside();
        inside.of(LineKind::New).len() + inside.of(LineKind::Busy).len().saturating_sub(MOST_BUSY)
    }

    /// Waits until all are answered.
    ///
    /// # Cancel safety
    /// It only looks.
    pub(crate) async fn emptied(&self) {
        while self.len() > 0 {
            self.emptied.notified().await;
        }
    }

    /// Takes the next batch in flight, or keeps the one that is; says how many items it has.
    pub(super) fn begin(&self, line: LineKind) -> usize {
        self.inside().of(line).begin(if line == LineKind::Apart { 1 } else { usize::MAX })
    }

    /// The batch in flight.
    pub(super) fn batch(&self, line: LineKind) -> FinishBatch {
        self.inside().of(line).batch()
    }

    /// The call succeeded.
    pub(super) fn succeeded(&self, line: LineKind) {
        self.inside().of(line).succeeded();
    }

    /// The call failed: how often in a row, and whether it is worth a repeat as it is.
    pub(super) fn failed(&self, line: LineKind) -> (u32, bool) {
        self.inside().of(line).failed()
    }

    /// The next calls have half as many items as this one.
    pub(super) fn halve(&self, line: LineKind) {
        self.inside().of(line).halve();
    }

    /// The one end in flight failed alone: from now on it goes apart from all others.
    pub(super) fn set_apart(&self, line: LineKind) {
        let mut inside = self.inside();
        let ended = inside.of(line).set_apart();
        inside.of(LineKind::Apart).push_all(ended);
        drop(inside);
        self.bells[LineKind::Apart as usize].notify_one();
    }

    /// Leaves out a part of the one end in flight; says which, and of which job. `None` when nothing is left
    /// to leave out.
    pub(super) fn lessen(&self, line: LineKind, why: &str) -> Option<(&'static str, JobId)> {
        let mut inside = self.inside();
        let ended = inside.of(line).first_in_flight()?;
        ended.lessen(why).map(|left_out| (left_out, ended.item.lease.job))
    }

    /// Takes the batch in flight off its line: the ends with their answers. Those that are busy go to the end
    /// of their line.
    pub(super) fn answered(
        &self,
        line: LineKind,
        answers: Vec<Option<Finished>>,
    ) -> (Vec<RunResult>, Vec<Option<Finished>>) {
        let is_busy = |answer: &Option<Finished>| *answer == Some(Finished::Busy);
        let mut inside = self.inside();
        let mut ended = inside.of(line).take_in_flight();
        let mut settled = answers;
        if settled.iter().any(is_busy) {
            let pairs = ended.into_iter().zip(settled);
            let (mut busy, rest): (Vec<_>, Vec<_>) = pairs.partition(|(_, answer)| is_busy(answer));
            // In another order each time: the store looks only for so long which of them are held.
            fastrand::shuffle(&mut busy);
            inside.of(LineKind::Busy).push_all(busy.into_iter().map(|(ended, _)| ended).collect());
            self.bells[LineKind::Busy as usize].notify_one();
            (ended, settled) = rest.into_iter().unzip();
        }
        if inside.len() == 0 {
            self.emptied.notify_one();
        }
        (ended, settled)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gristmill_core::{
        Args, ClaimId, FinishItem, IdSource, JobSpec, JobState, Lease, LeaseToken, Name, Output, Place,
        Timestamp,
    };

    use super::*;
    use crate::run_result::Kept;

    /// Results that are handed over together, with outputs of so many bytes.
    fn hand_over(count: usize, bytes: usize) -> Vec<RunResult> {
        let (kind, queue) = (Name::new("k").unwrap(), Name::new("default").unwrap());
        let spec = Arc::new(JobSpec::new(kind, queue, Args::from_json("{}").unwrap()));
        let output = (bytes > 2).then(|| Output::from_json(format!("\"{}\"", "x".repeat(bytes - 2))));
        let end = |run| {
            let job = IdSource::new().next(Timestamp::EPOCH);
            let lease = Lease { job, run, claim: ClaimId(1), token: LeaseToken(1), place: Place::default() };
            let mut item = FinishItem::complete(lease);
            item.output.clone_from(&output);
            RunResult { lane: 0, item, spec: spec.clone(), attempt: 1, kept: Kept::All, tries: 0 }
        };
        (0..count).map(|place| end(u32::try_from(place).unwrap() + 1)).collect()
    }

    /// How many items each call has, in turn.
    fn calls(finishes: &Finishes) -> Vec<usize> {
        std::iter::from_fn(|| Some(finishes.begin(LineKind::New)).filter(|count| *count > 0))
            .inspect(|count| assert_eq!(finishes.answered(LineKind::New, vec![None; *count]).0.len(), *count))
            .collect()
    }

    #[test]
    fn hand_overs_share_calls_of_four_thousand_items_at_most() {
        let finishes = Finishes::default();
        for count in [1, 600, 2_500, 900, 3] {
            finishes.push_all(hand_over(count, 0));
        }
        assert_eq!(finishes.len(), 4_004);
        assert_eq!(calls(&finishes), [3_101, 903]);
        finishes.push_all(hand_over(9_999, 0));
        assert_eq!(calls(&finishes), [4_000, 4_000, 1_999]);
        assert_eq!(finishes.len(), 0);
    }

    #[test]
    fn calls_end_at_their_bytes() {
        let finishes = Finishes::default();
        for _ in 0..5 {
            finishes.push_all(hand_over(3, 1024 * 1024));
        }
        finishes.push_all(hand_over(20, 1024 * 1024));
        let calls = calls(&finishes);
        assert!(calls.iter().all(|count| *count < 8), "{calls:?}");
        assert_eq!(calls.iter().sum::<usize>(), 35);
    }

    #[test]
    fn a_call_that_fails_is_halved_down_to_one_end() {
        let finishes = Finishes::default();
        finishes.push_all(hand_over(8, 0));
        let mut sizes = Vec::new();
        for _ in 0..4 {
            sizes.push(finishes.begin(LineKind::New));
            finishes.halve(LineKind::New);
        }
        assert_eq!(sizes, [8, 4, 2, 1]);
        finishes.set_apart(LineKind::New);
        finishes.succeeded(LineKind::New);
        assert_eq!(
            (finishes.begin(LineKind::New), finishes.begin(LineKind::Apart), finishes.len()),
            (1, 1, 8)
        );
    }

    #[test]
    fn busy_ends_wait_in_a_line_of_their_own() {
        const COMPLETED: Option<Finished> = Some(Finished::Accepted { state: JobState::Completed });
        let finishes = Finishes::default();
        finishes.push_all(hand_over(3, 0));
        finishes.begin(LineKind::New);
        let (ended, answers) =
            finishes.answered(LineKind::New, vec![COMPLETED, Some(Finished::Busy), COMPLETED]);
        assert_eq!(ended.iter().map(|ended| ended.item.lease.run).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(answers, [COMPLETED, COMPLETED]);
        assert_eq!((finishes.begin(LineKind::New), finishes.begin(LineKind::Busy)), (0, 1));
        assert_eq!((finishes.len(), finishes.backlog()), (1, 0));
        assert_eq!(finishes.answered(LineKind::Busy, vec![Some(Finished::Busy)]).0.len(), 0);
        assert_eq!((finishes.begin(LineKind::Busy), finishes.len()), (1, 1));
        assert_eq!(finishes.answered(LineKind::Busy, vec![COMPLETED]).0.len(), 1);
        assert_eq!(finishes.len(), 0);
    }
}
