//! Stores the ends of runs, many at once, one call in flight.
//!
//! While a call is in flight ends collect; the next call takes them all, so batches grow by themselves under load and an
//! idle worker's ends leave at once. A call that may have taken effect is repeated with the same items: their tokens make
//! that safe. Items are kept in [`Finishes`] until they are answered, so a restart of the loop loses none.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gristmill_core::{
    BackendError, BackendErrorKind, Decision, FinishItem, FinishRequest, Finished, RetryPolicy, RunError,
};
use tokio::sync::Notify;

use super::attempt::Ended;
use super::call::{Trouble, answer};
use super::settled;
use super::shared::Shared;

/// The most items of one call. Where the store falls behind, a larger one spares it commits.
const BATCH: usize = 4_000;
/// What is handed over, or was too much for the store, goes in calls of at most so many.
const SMALL_BATCH: usize = 1_000;
/// The most bytes of outputs for which hand-overs share a call.
const OUTPUT_BYTES: usize = 16 * 1024 * 1024;
/// A call the store finds fault with is repeated as it is this often before its items are tried one by one.
const TRIES_BEFORE_ISOLATION: u32 = 2;

/// Ends on their way to the store.
#[derive(Debug, Default)]
pub(crate) struct Finishes {
    inside: Mutex<Inside>,
    bell: Notify,
    emptied: Notify,
}

#[derive(Debug, Default)]
struct Inside {
    /// As they were handed over, each at most a call's worth.
    waiting: VecDeque<Vec<Ended>>,
    in_flight: Vec<Ended>,
}

impl Inside {
    fn waiting(&self) -> usize {
        self.waiting.iter().map(Vec::len).sum()
    }
}

impl Finishes {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push_all(&self, ended: Vec<Ended>) {
        {
            let mut inside = self.inside();
            let mut rest = ended;
            while rest.len() > SMALL_BATCH {
                let later = rest.split_off(SMALL_BATCH);
                inside.waiting.push_back(std::mem::replace(&mut rest, later));
            }
            inside.waiting.push_back(rest);
        }
        self.bell.notify_one();
    }

    /// How many are not answered.
    pub(crate) fn len(&self) -> usize {
        let inside = self.inside();
        inside.waiting() + inside.in_flight.len()
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
    fn begin(&self) -> usize {
        let mut inside = self.inside();
        if inside.in_flight.is_empty() {
            let mut batch = inside.waiting.pop_front().unwrap_or_default();
            let room = inside.waiting().min(BATCH - batch.len());
            batch.reserve(room);
            let mut bytes = output_bytes(&batch);
            while let Some(next) = inside.waiting.front()
                && batch.len() + next.len() <= BATCH
            {
                bytes += output_bytes(next);
                if bytes > OUTPUT_BYTES {
                    break;
                }
                batch.extend(inside.waiting.pop_front().unwrap_or_default());
            }
            inside.in_flight = batch;
        }
        inside.in_flight.len()
    }

    fn items(&self, range: Range<usize>) -> Vec<FinishItem> {
        self.inside().in_flight[range].iter().map(|ended| ended.item.clone()).collect()
    }

    /// Puts a plain failure in the place of an end the store refuses; says whether that was done before.
    fn make_plain(&self, at: usize, message: &str) -> bool {
        let ended = &mut self.inside().in_flight[at];
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

    fn answered(&self) -> Vec<Ended> {
        let answered = std::mem::take(&mut self.inside().in_flight);
        if self.len() == 0 {
            self.emptied.notify_one();
        }
        answered
    }
}

/// Runs until it is aborted: its owner first waits until nothing is left.
pub(crate) async fn complete(shared: Arc<Shared>) {
    let mut trouble = Trouble::new("finish");
    loop {
        let count = shared.finishes.begin();
        if count == 0 {
            shared.finishes.bell.notified().await;
            continue;
        }
        let answers = deliver(&shared, count, &mut trouble).await;
        settled::note(&shared, &shared.finishes.answered(), &answers);
        // The fetcher may have waited for the backlog to shrink.
        shared.slots.nudge();
    }
}

/// The answers to the batch in flight; `None` for an item that the store refuses for good.
async fn deliver(shared: &Shared, count: usize, trouble: &mut Trouble) -> Vec<Option<Finished>> {
    let mut answers = vec![None; count];
    let mut parts = vec![(0..count, TRIES_BEFORE_ISOLATION)];
    while let Some((part, tries)) = parts.pop() {
        let error = match send(shared, part.clone()).await {
            Ok(finished) => {
                trouble.over();
                for (answer, finished) in answers[part].iter_mut().zip(finished) {
                    *answer = Some(finished);
                }
                continue;
            }
            Err(error) => error,
        };
        let delay = trouble.failed(&error);
        if !may_be_an_item(&error) {
            if part.len() > SMALL_BATCH {
                // Perhaps it was more than the store does in the time there is.
                let middle = part.start + part.len() / 2;
                parts.push((middle..part.end, tries));
                parts.push((part.start..middle, tries));
            } else {
                parts.push((part, tries));
            }
        } else if tries > 0 {
            parts.push((part, tries - 1));
        } else if part.len() > 1 {
            // One of them spoils it for the others: halves find it.
            let middle = part.start + part.len() / 2;
            parts.push((middle..part.end, 0));
            parts.push((part.start..middle, 0));
            continue;
        } else if !refuse(shared, part.start, &error) {
            parts.push((part, 0));
        }
        tokio::time::sleep(delay).await;
    }
    answers
}

async fn send(shared: &Shared, part: Range<usize>) -> Result<Vec<Finished>, BackendError> {
    let count = part.len();
    let request = FinishRequest::new(shared.finishes.items(part));
    let reply =
        answer(shared.call_deadline(), "finish", shared.backend().finish(shared.call(), request)).await?;
    if reply.items.len() != count {
        let message = format!("`finish` answered {} of {count} items", reply.items.len());
        return Err(BackendError::new(BackendErrorKind::Internal, message).maybe_stored());
    }
    Ok(reply.items)
}

fn output_bytes(batch: &[Ended]) -> usize {
    let outputs = batch.iter().filter_map(|ended| ended.item.output.as_ref());
    outputs.map(|output| output.as_bytes().len()).sum()
}

/// Whether the error may be due to one item rather than to the store.
fn may_be_an_item(error: &BackendError) -> bool {
    matches!(
        error.kind(),
        BackendErrorKind::Internal
            | BackendErrorKind::Refused
            | BackendErrorKind::Undecodable
            | BackendErrorKind::Unsupported(_)
    )
}

/// The store refuses this one item. First it is sent as a plain failure; says whether that was refused, too.
fn refuse(shared: &Shared, at: usize, error: &BackendError) -> bool {
    let given_up = shared.finishes.make_plain(at, &format!("the store refused the end of the run: {error}"));
    tracing::error!(
        name: "finish_refused", target: "gristmill::worker", given_up, error = %error,
        "the store refuses the end of a run"
    );
    given_up
}

#[cfg(test)]
mod tests {
    use gristmill_core::{
        Args, ClaimId, IdSource, JobSpec, Lease, LeaseToken, Name, Output, Place, Timestamp,
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
        std::iter::from_fn(|| Some(finishes.begin()).filter(|count| *count > 0))
            .inspect(|count| assert_eq!(finishes.answered().len(), *count))
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
}
