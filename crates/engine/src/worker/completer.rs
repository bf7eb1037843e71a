//! Stores the ends of runs, many at once, one call in flight.
//!
//! While a call is in flight ends collect; the next call takes them all, so batches grow by themselves under
//! load and an idle worker's ends leave at once. A call that may have taken effect is repeated with the same
//! items: their tokens make that safe. Items are kept in [`Finishes`] until they are answered, so a restart
//! of the loop loses none.
//!
//! An end that answers [`Busy`](Finished::Busy) needs a row of a user's open transaction. It moves to a
//! line of its own, whose calls go beside the others: it is repeated until the row is free, and no other end
//! waits for it.
//!
//! A call that fails is repeated, then halved, whatever the error: one item, or the size of all, may be at
//! fault. One that fails alone while another call succeeds goes [apart](LineKind::Apart), and in the end is
//! stored [without a part](crate::lessen).

pub(crate) mod answers;
pub(crate) mod finishes;
mod line;

use std::sync::Arc;
use std::time::Duration;

use gristmill_core::{BackendError, BackendErrorKind, FinishRequest, Finished, time_for_bytes};

use super::executor::slots::Slots;
use crate::call::Trouble;
use crate::lessen::{may_be_an_item, say_lessened};
use answers::Answers;
use finishes::Finishes;
use line::{FinishBatch, LineKind, SMALL_BATCH};

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

/// What storing ends uses of a worker.
#[derive(Debug, Clone)]
pub(crate) struct Completer {
    pub(super) finishes: Arc<Finishes>,
    pub(super) slots: Arc<Slots>,
    pub(super) answers: Answers,
}

impl Completer {
    /// Runs until it is aborted: its owner first waits until nothing is left.
    pub(crate) async fn run(self) {
        tokio::join!(self.store_new(), self.store_busy(), self.store_apart());
    }

    async fn store_new(&self) {
        let mut trouble = Trouble::new("finish");
        loop {
            match self.store(LineKind::New, &mut trouble).await {
                Called::Idle => self.finishes.handed_over(LineKind::New).await,
                Called::Stored(_) => {}
                Called::Failed(pause) => tokio::time::sleep(pause).await,
            }
        }
    }

    async fn store_busy(&self) {
        let mut trouble = Trouble::new("finish");
        let mut pause = FIRST_PAUSE;
        loop {
            if self.finishes.is_empty(LineKind::Busy) {
                while self.finishes.is_empty(LineKind::Busy) {
                    self.finishes.handed_over(LineKind::Busy).await;
                }
                pause = FIRST_PAUSE;
                gristmill_core::log!(
                    warn,
                    name: "finish_busy", target: "gristmill::worker",
                    "the end of a run waits for a row that another transaction has locked"
                );
            }
            tokio::time::sleep(pause).await;
            pause = match self.store(LineKind::Busy, &mut trouble).await {
                Called::Stored(count) if count > 0 => FIRST_PAUSE,
                _ => LONGEST_PAUSE.min(pause * 2),
            };
        }
    }

    async fn store_apart(&self) {
        let mut trouble = Trouble::new("finish");
        let mut pause = FIRST_APART;
        loop {
            while self.finishes.is_empty(LineKind::Apart) {
                self.finishes.handed_over(LineKind::Apart).await;
                pause = FIRST_APART;
            }
            tokio::time::sleep(pause).await;
            pause = match self.store(LineKind::Apart, &mut trouble).await {
                Called::Stored(count) if count > 0 => FIRST_APART,
                _ => LONGEST_APART.min(pause * 2),
            };
        }
    }

    /// Stores the next batch of a line.
    async fn store(&self, line: LineKind, trouble: &mut Trouble) -> Called {
        let count = self.finishes.begin(line);
        if count == 0 {
            return Called::Idle;
        }
        match self.send(line).await {
            Ok(answers) => {
                trouble.over();
                self.finishes.succeeded(line);
                Called::Stored(self.settle(line, answers.into_iter().map(Some).collect()))
            }
            Err(error) => self.amend(line, count, &error, trouble.failed(&error)).await,
        }
    }

    /// Notes the answers to the batch in flight; `None` for an end that is given up. Says how many there
    /// were.
    fn settle(&self, line: LineKind, answers: Vec<Option<Finished>>) -> usize {
        let (ended, answers) = self.finishes.answered(line, answers);
        self.answers.note(&ended, &answers);
        // The fetcher may have waited for the backlog to shrink.
        self.slots.nudge();
        ended.len()
    }

    /// Makes of a batch that failed what may succeed.
    async fn amend(&self, line: LineKind, count: usize, error: &BackendError, pause: Duration) -> Called {
        let (failures, repeat) = self.finishes.failed(line);
        let of_an_item = may_be_an_item(error);
        if count > 1 {
            if repeat && (of_an_item || count <= SMALL_BATCH) {
                return Called::Failed(pause);
            }
            self.finishes.halve(line);
            return Called::Failed(if of_an_item { Duration::ZERO } else { pause });
        }
        if of_an_item {
            return if repeat { Called::Failed(pause) } else { self.lessen(line, error, pause) };
        }
        if (failures > 1 || line == LineKind::Apart) && self.is_there().await {
            // The store answers others: it is this end that it does not take, or not in this time.
            let is_at_fault = error.kind() == BackendErrorKind::Unavailable
                && self.finishes.batch(line).tries >= TRIES_APART;
            if is_at_fault && let Called::Stored(given_up) = self.lessen(line, error, pause) {
                return Called::Stored(given_up);
            }
            self.finishes.set_apart(line);
            return Called::Failed(Duration::ZERO);
        }
        Called::Failed(pause)
    }

    async fn send(&self, line: LineKind) -> Result<Vec<Finished>, BackendError> {
        let FinishBatch { items, bytes, tries } = self.finishes.batch(line);
        let count = items.len();
        let deadline = self.answers.store.deadline().saturating_add(time_for_bytes(bytes));
        let deadline = deadline.saturating_mul(1 << tries.min(MOST_DOUBLINGS));
        let request = FinishRequest::new(items);
        let store = &self.answers.store;
        let reply =
            store.ask_within(deadline, "finish", |backend, call| backend.finish(call, request)).await?;
        if reply.items.len() != count {
            let message = format!("`finish` answered {} of {count} items", reply.items.len());
            return Err(BackendError::new(BackendErrorKind::Internal, message).maybe_stored());
        }
        Ok(reply.items)
    }

    /// Whether the store can be reached at all.
    async fn is_there(&self) -> bool {
        self.answers.store.ask("ping", |backend, call| backend.ping(call)).await.is_ok()
    }

    /// The store refuses this one end: it is sent with less, and given up when nothing is left to leave out.
    fn lessen(&self, line: LineKind, error: &BackendError, pause: Duration) -> Called {
        match self.finishes.lessen(line, &error.chain()) {
            Some((left_out, job)) => {
                say_lessened(job, left_out, error);
                Called::Failed(pause)
            }
            None => Called::Stored(self.settle(line, vec![None])),
        }
    }
}
