//! Stores the ends of runs, many at once, one call in flight.
//!
//! While a call is in flight ends collect; the next call takes them all, so batches grow by themselves under load and
//! an idle worker's ends leave at once. A call that may have taken effect is repeated with the same items: their tokens
//! make that safe. Items are kept in [`Finishes`] until they are answered, so a restart of the loop loses none.
//!
//! An end that answers [`Busy`](Finished::Busy) needs a row of somebody's open transaction. It moves to a line of its
//! own, whose calls go beside the others: it is repeated until the row is free, and no other end waits for it.
//!
//! A call that fails is repeated, then halved, whatever the error: one item, or the size of all, may be at fault. One
//! that fails alone while the store answers another call goes [apart](Line::Apart), and in the end is stored [without a
//! part](crate::lessen).

use std::sync::Arc;
use std::time::Duration;

use gristmill_core::{BackendError, BackendErrorKind, FinishRequest, Finished, time_for_bytes};

pub(crate) use super::finishes::Finishes;
use super::finishes::{Batch, Line, SMALL_BATCH};
use super::settled;
use super::shared::Shared;
use crate::call::{Trouble, answer};
use crate::lessen::{may_be_an_item, say_lessened};

/// The first wait before busy ends are repeated; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest such wait, and so the most by which an end is late after the lock is gone.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// The first wait before an end that goes apart is repeated, and what it doubles up to.
const FIRST_APART: Duration = Duration::from_millis(250);
const LONGEST_APART: Duration = Duration::from_secs(5);
/// An end whose calls lose the connection this often, while others do not, is what loses it.
const TRIES_APART: u32 = 4;
/// How often the time for an end that goes apart is doubled.
const MOST_DOUBLINGS: u32 = 5;

/// What became of a call.
enum Called {
    /// There was nothing to send.
    Idle,
    /// So many ends have their answer.
    Stored(usize),
    /// It failed; a pause before the next one.
    Failed(Duration),
}

/// Runs until it is aborted: its owner first waits until nothing is left.
pub(crate) async fn complete(shared: Arc<Shared>) {
    tokio::join!(store_new(&shared), store_busy(&shared), store_apart(&shared));
}

async fn store_new(shared: &Shared) {
    let mut trouble = Trouble::new("finish");
    loop {
        match store(shared, Line::New, &mut trouble).await {
            Called::Idle => shared.finishes.handed_over(Line::New).await,
            Called::Stored(_) => {}
            Called::Failed(pause) => tokio::time::sleep(pause).await,
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
        pause = match store(shared, Line::Busy, &mut trouble).await {
            Called::Stored(count) if count > 0 => FIRST_PAUSE,
            _ => LONGEST_PAUSE.min(pause * 2),
        };
    }
}

async fn store_apart(shared: &Shared) {
    let mut trouble = Trouble::new("finish");
    let mut pause = FIRST_APART;
    loop {
        while shared.finishes.is_empty(Line::Apart) {
            shared.finishes.handed_over(Line::Apart).await;
            pause = FIRST_APART;
        }
        tokio::time::sleep(pause).await;
        pause = match store(shared, Line::Apart, &mut trouble).await {
            Called::Stored(count) if count > 0 => FIRST_APART,
            _ => LONGEST_APART.min(pause * 2),
        };
    }
}

/// Stores the next batch of a line.
async fn store(shared: &Shared, line: Line, trouble: &mut Trouble) -> Called {
    let count = shared.finishes.begin(line);
    if count == 0 {
        return Called::Idle;
    }
    match send(shared, line).await {
        Ok(answers) => {
            trouble.over();
            shared.finishes.succeeded(line);
            Called::Stored(settle(shared, line, answers.into_iter().map(Some).collect()))
        }
        Err(error) => amend(shared, line, count, &error, trouble.failed(&error)).await,
    }
}

/// Notes the answers to the batch in flight; `None` for an end that is given up. Says how many there were.
fn settle(shared: &Shared, line: Line, answers: Vec<Option<Finished>>) -> usize {
    let (ended, answers) = shared.finishes.answered(line, answers);
    settled::note(shared, &ended, &answers);
    // The fetcher may have waited for the backlog to shrink.
    shared.slots.nudge();
    ended.len()
}

/// Makes of a batch that failed what may succeed.
async fn amend(shared: &Shared, line: Line, count: usize, error: &BackendError, pause: Duration) -> Called {
    let (failures, repeat) = shared.finishes.failed(line);
    let of_an_item = may_be_an_item(error);
    if count > 1 {
        if repeat && (of_an_item || count <= SMALL_BATCH) {
            return Called::Failed(pause);
        }
        shared.finishes.halve(line);
        return Called::Failed(if of_an_item { Duration::ZERO } else { pause });
    }
    if of_an_item {
        return if repeat { Called::Failed(pause) } else { lessen(shared, line, error, pause) };
    }
    if (failures > 1 || line == Line::Apart) && is_there(shared).await {
        // The store answers others: it is this end that it does not take, or not in this time.
        let is_at_fault =
            error.kind() == BackendErrorKind::Unavailable && shared.finishes.batch(line).tries >= TRIES_APART;
        if is_at_fault && let Called::Stored(given_up) = lessen(shared, line, error, pause) {
            return Called::Stored(given_up);
        }
        shared.finishes.set_apart(line);
        return Called::Failed(Duration::ZERO);
    }
    Called::Failed(pause)
}

async fn send(shared: &Shared, line: Line) -> Result<Vec<Finished>, BackendError> {
    let Batch { items, bytes, tries } = shared.finishes.batch(line);
    let count = items.len();
    let deadline = shared.call_deadline().saturating_add(time_for_bytes(bytes));
    let deadline = deadline.saturating_mul(1 << tries.min(MOST_DOUBLINGS));
    let call = shared.backend().finish(shared.call().within(deadline), FinishRequest::new(items));
    let reply = answer(deadline, "finish", call).await?;
    if reply.items.len() != count {
        let message = format!("`finish` answered {} of {count} items", reply.items.len());
        return Err(BackendError::new(BackendErrorKind::Internal, message).maybe_stored());
    }
    Ok(reply.items)
}

/// Whether the store can be reached at all.
async fn is_there(shared: &Shared) -> bool {
    answer(shared.call_deadline(), "ping", shared.backend().ping(shared.call())).await.is_ok()
}

/// The store refuses this one end: it is sent with less, and given up when nothing is left to leave out.
fn lessen(shared: &Shared, line: Line, error: &BackendError, pause: Duration) -> Called {
    match shared.finishes.lessen(line, &error.chain()) {
        Some((left_out, job)) => {
            say_lessened(job, left_out, error);
            Called::Failed(pause)
        }
        None => Called::Stored(settle(shared, line, vec![None])),
    }
}
