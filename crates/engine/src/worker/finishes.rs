//! Ends on their way to the store: those that wait for a call, and those of the calls in flight.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use gristmill_core::{Decision, FinishItem, Finished, RetryPolicy, RunError};
use tokio::sync::Notify;

use super::attempt::Ended;

/// The most items of one call. Where the store falls behind, a larger one spares it commits.
const BATCH: usize = 4_000;
/// What is handed over, or was too much for the store, goes in calls of at most so many.
pub(super) const SMALL_BATCH: usize = 1_000;
/// The most bytes of outputs for which hand-overs share a call.
const OUTPUT_BYTES: usize = 16 * 1024 * 1024;
/// Busy ends beyond this many hold up fetches: else a worker whose every job meets the lock would collect them without
/// bound.
const MOST_BUSY: usize = 4_000;

/// Which calls an end goes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// Ends that were not sent yet.
    New,
    /// Ends that answered [`Finished::Busy`].
    Busy,
}

/// Ends on their way to the store.
#[derive(Debug, Default)]
pub(crate) struct Finishes {
    inside: Mutex<Inside>,
    bells: [Notify; 2],
    emptied: Notify,
}

#[derive(Debug, Default)]
struct Inside([Ends; 2]);

#[derive(Debug, Default)]
struct Ends {
    /// As they were handed over, each at most a call's worth.
    waiting: VecDeque<Vec<Ended>>,
    in_flight: Vec<Ended>,
}

impl Ends {
    fn waiting(&self) -> usize {
        self.waiting.iter().map(Vec::len).sum()
    }

    fn len(&self) -> usize {
        self.waiting() + self.in_flight.len()
    }

    fn push_all(&mut self, ended: Vec<Ended>) {
        let mut rest = ended;
        while rest.len() > SMALL_BATCH {
            let later = rest.split_off(SMALL_BATCH);
            self.waiting.push_back(std::mem::replace(&mut rest, later));
        }
        self.waiting.push_back(rest);
    }
}

impl Inside {
    fn of(&mut self, line: Line) -> &mut Ends {
        &mut self.0[line as usize]
    }

    fn len(&self) -> usize {
        self.0.iter().map(Ends::len).sum()
    }
}

impl Finishes {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push_all(&self, ended: Vec<Ended>) {
        self.inside().of(Line::New).push_all(ended);
        self.bells[Line::New as usize].notify_one();
    }

    /// Waits for something to be handed over.
    pub(super) async fn handed_over(&self, line: Line) {
        self.bells[line as usize].notified().await;
    }

    /// How many are not answered.
    pub(crate) fn len(&self) -> usize {
        self.inside().len()
    }

    pub(super) fn is_empty(&self, line: Line) -> bool {
        self.inside().of(line).len() == 0
    }

    /// How many the store is behind with. A few that wait for a lock do not count: the store does all it can.
    pub(crate) fn backlog(&self) -> usize {
        let mut inside = self.inside();
        inside.of(Line::New).len() + inside.of(Line::Busy).len().saturating_sub(MOST_BUSY)
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
    pub(super) fn begin(&self, line: Line) -> usize {
        let mut inside = self.inside();
        let ends = inside.of(line);
        if ends.in_flight.is_empty() {
            let mut batch = ends.waiting.pop_front().unwrap_or_default();
            let room = ends.waiting().min(BATCH - batch.len());
            batch.reserve(room);
            let mut bytes = output_bytes(&batch);
            while let Some(next) = ends.waiting.front()
                && batch.len() + next.len() <= BATCH
            {
                bytes += output_bytes(next);
                if bytes > OUTPUT_BYTES {
                    break;
                }
                batch.extend(ends.waiting.pop_front().unwrap_or_default());
            }
            ends.in_flight = batch;
        }
        ends.in_flight.len()
    }

    pub(super) fn items(&self, line: Line, range: Range<usize>) -> Vec<FinishItem> {
        self.inside().of(line).in_flight[range].iter().map(|ended| ended.item.clone()).collect()
    }

    /// Puts a plain failure in the place of an end the store refuses; says whether that was done before.
    pub(super) fn make_plain(&self, line: Line, at: usize, message: &str) -> bool {
        let mut inside = self.inside();
        let ended = &mut inside.of(line).in_flight[at];
        if ended.plain {
            return true;
        }
        ended.plain = true;
        let old = &ended.item;
        let delay = match old.decision {
            Decision::RetryAfter(delay) => delay,
            _ => RetryPolicy::default().delay(ended.attempt, 0.5),
        };
        let mut item = FinishItem::fail(old.lease.clone(), delay, RunError::new(message));
        item.started_at = old.started_at;
        ended.item = item;
        false
    }

    /// Takes the batch in flight off its line: the ends with their answers. Those that are busy go to the end of their line.
    pub(super) fn answered(
        &self,
        line: Line,
        answers: Vec<Option<Finished>>,
    ) -> (Vec<Ended>, Vec<Option<Finished>>) {
        let is_busy = |answer: &Option<Finished>| *answer == Some(Finished::Busy);
        let mut inside = self.inside();
        let mut ended = std::mem::take(&mut inside.of(line).in_flight);
        let mut settled = answers;
        if settled.iter().any(is_busy) {
            let pairs = ended.into_iter().zip(settled);
            let (mut busy, rest): (Vec<_>, Vec<_>) = pairs.partition(|(_, answer)| is_busy(answer));
            // In another order each time: the store looks only for so long which of them are held.
            fastrand::shuffle(&mut busy);
            inside.of(Line::Busy).push_all(busy.into_iter().map(|(ended, _)| ended).collect());
            self.bells[Line::Busy as usize].notify_one();
            (ended, settled) = rest.into_iter().unzip();
        }
        if inside.len() == 0 {
            self.emptied.notify_one();
        }
        (ended, settled)
    }
}

fn output_bytes(batch: &[Ended]) -> usize {
    let outputs = batch.iter().filter_map(|ended| ended.item.output.as_ref());
    outputs.map(|output| output.as_bytes().len()).sum()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gristmill_core::{
        Args, ClaimId, IdSource, JobSpec, JobState, Lease, LeaseToken, Name, Output, Place, Timestamp,
    };

    use super::*;

    /// Ends that are handed over together, with outputs of so many bytes.
    fn hand_over(count: usize, bytes: usize) -> Vec<Ended> {
        let (kind, queue) = (Name::new("k").unwrap(), Name::new("default").unwrap());
        let spec = Arc::new(JobSpec::new(kind, queue, Args::from_json("{}").unwrap()));
        let output = (bytes > 2).then(|| Output::from_json(format!("\"{}\"", "x".repeat(bytes - 2))));
        let end = |run| {
            let job = IdSource::new().next(Timestamp::EPOCH);
            let lease = Lease { job, run, claim: ClaimId(1), token: LeaseToken(1), place: Place::default() };
            let mut item = FinishItem::complete(lease);
            item.output.clone_from(&output);
            Ended { lane: 0, item, spec: spec.clone(), attempt: 1, plain: false }
        };
        (0..count).map(|place| end(u32::try_from(place).unwrap() + 1)).collect()
    }

    /// How many items each call has, in turn.
    fn calls(finishes: &Finishes) -> Vec<usize> {
        std::iter::from_fn(|| Some(finishes.begin(Line::New)).filter(|count| *count > 0))
            .inspect(|count| assert_eq!(finishes.answered(Line::New, vec![None; *count]).0.len(), *count))
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
    fn hand_overs_share_calls_of_less_than_16_mib_of_outputs() {
        let finishes = Finishes::default();
        for _ in 0..5 {
            finishes.push_all(hand_over(8, 1024 * 1024));
        }
        finishes.push_all(hand_over(20, 1024 * 1024));
        assert_eq!(calls(&finishes), [16, 16, 8, 20], "what is handed over together stays together");
    }

    #[test]
    fn busy_ends_wait_in_a_line_of_their_own() {
        const COMPLETED: Option<Finished> = Some(Finished::Accepted { state: JobState::Completed });
        let finishes = Finishes::default();
        finishes.push_all(hand_over(3, 0));
        finishes.begin(Line::New);
        let (ended, answers) = finishes.answered(Line::New, vec![COMPLETED, Some(Finished::Busy), COMPLETED]);
        assert_eq!(ended.iter().map(|ended| ended.item.lease.run).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(answers, [COMPLETED, COMPLETED]);
        assert_eq!((finishes.begin(Line::New), finishes.begin(Line::Busy)), (0, 1));
        assert_eq!((finishes.len(), finishes.backlog()), (1, 0));
        assert_eq!(finishes.answered(Line::Busy, vec![Some(Finished::Busy)]).0.len(), 0);
        assert_eq!((finishes.begin(Line::Busy), finishes.len()), (1, 1));
        assert_eq!(finishes.answered(Line::Busy, vec![COMPLETED]).0.len(), 1);
        assert_eq!(finishes.len(), 0);
    }
}
