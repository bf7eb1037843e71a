//! Stores the ends of runs, many at once, one call in flight.
//!
//! While a call is in flight ends collect; the next call takes them all, so batches grow by themselves under load and an
//! idle worker's ends leave at once. A call that may have taken effect is repeated with the same items: their tokens make
//! that safe. Items are kept in [`Finishes`] until they are answered, so a restart of the loop loses none.
//!
//! An end that answers [`Busy`](Finished::Busy) needs a row of somebody's open transaction. It moves to a line of its own,
//! whose calls go beside the others: it is repeated until the row is free, and no other end waits for it.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use gristmill_core::{BackendError, BackendErrorKind, FinishRequest, Finished};

use super::call::{Trouble, answer};
pub(crate) use super::finishes::Finishes;
use super::finishes::{Line, SMALL_BATCH};
use super::settled;
use super::shared::Shared;

/// A call the store finds fault with is repeated as it is this often before its items are tried one by one.
const TRIES_BEFORE_ISOLATION: u32 = 2;
/// The first wait before busy ends are repeated; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest such wait, and so the most by which an end is late after the lock is gone.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Runs until it is aborted: its owner first waits until nothing is left.
pub(crate) async fn complete(shared: Arc<Shared>) {
    tokio::join!(store_new(&shared), store_busy(&shared));
}

async fn store_new(shared: &Shared) {
    let mut trouble = Trouble::new("finish");
    loop {
        if store(shared, Line::New, &mut trouble).await.is_none() {
            shared.finishes.handed_over(Line::New).await;
        }
    }
}

async fn store_busy(shared: &Shared) {
    let mut trouble = Trouble::new("finish");
    let mut pause = FIRST_PAUSE;
    loop {
        if shared.finishes.is_empty(Line::Busy) {
            while shared.finishes.is_empty(Line::Busy) {
                shared.finishes.handed_over(Line::Busy).await;
            }
            pause = FIRST_PAUSE;
            gristmill_core::log!(
                warn,
                name: "finish_busy", target: "gristmill::worker",
                "the end of a run waits for a row that another transaction has locked"
            );
        }
        tokio::time::sleep(pause).await;
        let stored = store(shared, Line::Busy, &mut trouble).await;
        pause = if stored > Some(0) { FIRST_PAUSE } else { LONGEST_PAUSE.min(pause * 2) };
    }
}

/// Stores the next batch of a line: how many ends have their answer, or `None` where none waits.
async fn store(shared: &Shared, line: Line, trouble: &mut Trouble) -> Option<usize> {
    let count = shared.finishes.begin(line);
    if count == 0 {
        return None;
    }
    let answers = deliver(shared, line, count, trouble).await;
    let (ended, answers) = shared.finishes.answered(line, answers);
    settled::note(shared, &ended, &answers);
    // The fetcher may have waited for the backlog to shrink.
    shared.slots.nudge();
    Some(ended.len())
}

/// The answers to the batch in flight; `None` for an item that the store refuses for good.
async fn deliver(shared: &Shared, line: Line, count: usize, trouble: &mut Trouble) -> Vec<Option<Finished>> {
    let mut answers = vec![None; count];
    let mut parts = vec![(0..count, TRIES_BEFORE_ISOLATION)];
    while let Some((part, tries)) = parts.pop() {
        let error = match send(shared, line, part.clone()).await {
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
        } else if !refuse(shared, line, part.start, &error) {
            parts.push((part, 0));
        }
        tokio::time::sleep(delay).await;
    }
    answers
}

async fn send(shared: &Shared, line: Line, part: Range<usize>) -> Result<Vec<Finished>, BackendError> {
    let count = part.len();
    let request = FinishRequest::new(shared.finishes.items(line, part));
    let reply =
        answer(shared.call_deadline(), "finish", shared.backend().finish(shared.call(), request)).await?;
    if reply.items.len() != count {
        let message = format!("`finish` answered {} of {count} items", reply.items.len());
        return Err(BackendError::new(BackendErrorKind::Internal, message).maybe_stored());
    }
    Ok(reply.items)
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
fn refuse(shared: &Shared, line: Line, at: usize, error: &BackendError) -> bool {
    let given_up =
        shared.finishes.make_plain(line, at, &format!("the store refused the end of the run: {error}"));
    gristmill_core::log!(
        error,
        name: "finish_refused", target: "gristmill::worker", given_up, error = %format_args!("{error:#}"),
        "the store refuses the end of a run"
    );
    given_up
}
