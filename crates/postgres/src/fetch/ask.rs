//! Runs the statements of a fetch, and reads what they return beside the jobs.

use std::time::Duration;

use gristmill_core::{BackendError, Call, FetchRequest, FetchedQueue, QueueWant, Timestamp};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::error::Answer;
use crate::handle::Inner;
use crate::row;
use crate::session::{Naming, Params, Session};
use crate::statement::sql;

use super::Wish;
use super::jobs::Haul;
use super::round::Round;

fn claim_number(request: &FetchRequest) -> i64 {
    request.claim.0.cast_signed()
}

/// Key of the advisory lock of a claim number. Two numbers with the same key wait for each other, no more.
fn lock_of(request: &FetchRequest) -> i64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let (_, low) = row::worker_uuid(request.worker).as_u64_pair();
    (low ^ request.claim.0.wrapping_mul(ODD)).cast_signed()
}

/// The parameters that all statements of a fetch share.
pub(super) struct Ask {
    pub(super) now: Option<i64>,
    pub(super) worker: Uuid,
    pub(super) claim: i64,
    pub(super) lock: i64,
    /// Least number of jobs for which their rows are read as a range of ids.
    pub(super) range_from: i64,
    /// Waiting jobs due before this were promoted; their dead index entries are skipped.
    pub(super) head_ms: i64,
    pub(super) queues: Vec<i32>,
    pub(super) nonces: Vec<Uuid>,
}

impl Ask {
    pub(super) fn new(inner: &Inner, call: Call, request: &FetchRequest, wishes: &[Wish<'_>]) -> Self {
        Self {
            now: call.now.map(Timestamp::as_millis),
            worker: row::worker_uuid(request.worker),
            claim: claim_number(request),
            lock: lock_of(request),
            range_from: match inner.naming {
                Naming::Prepared => inner.near.next_least(),
                // Behind a pooler plans are not bound to an index: one might sort the whole range first.
                Naming::Unnamed => i64::MAX,
            },
            head_ms: match call.now {
                Some(_) => i64::MIN,
                None => inner.promotions.head_ms(inner.server_now()),
            },
            queues: wishes.iter().map(|wish| wish.queue).collect(),
            nonces: wishes.iter().map(|wish| wish.nonce).collect(),
        }
    }

    /// The parameters of `fetch_head.sql`.
    pub(super) fn about(&self) -> [&(dyn ToSql + Sync); 6] {
        [&self.now, &self.worker, &self.claim, &self.queues, &self.nonces, &self.head_ms]
    }

    /// Runs the statements. Returns what each round took, and the rest of the reply. With one round, `turn`
    /// ends with the first row that has jobs; with several, when their transaction has committed.
    pub(super) async fn run<T>(
        &self,
        session: &mut Session,
        rounds: &[Round<'_>],
        turn: Option<T>,
    ) -> Answer<(Vec<Haul>, Head)> {
        let about: &Params<'_> = &self.about();
        let (mut hauls, mut claimed) = (Vec::new(), Vec::new());
        if let [only] = rounds {
            let fetch = only.params(self, &claimed);
            let (mut haul, mut turn) = (Haul::default(), turn);
            let each = |row| {
                let taken = haul.add(row)?;
                if !taken.is_empty() {
                    only.reached(taken);
                    turn = None;
                }
                Ok(())
            };
            let head =
                session.query_each_and((sql!("fetch"), &fetch), each, (sql!("fetch_head"), about)).await?;
            return Ok((vec![haul], Head::of(&head)?));
        }
        if rounds.is_empty() {
            return Ok((hauls, Head::of(&session.query(sql!("fetch_head"), about).await?)?));
        }
        session.begin().await?;
        for round in rounds {
            let rows = session.query(sql!("fetch"), &round.params(self, &claimed)).await?;
            let mut haul = Haul::default();
            for row in rows {
                haul.add(row)?;
            }
            for job in &haul.taken {
                if !claimed.contains(&job.key.queue) {
                    claimed.push(job.key.queue);
                }
            }
            hauls.push(haul);
        }
        let head = session.query(sql!("fetch_head"), about).await?;
        session.commit().await?;
        Ok((hauls, Head::of(&head)?))
    }
}

/// The row of `fetch_head.sql`.
pub(super) struct Head {
    pub(super) now: Timestamp,
    pub(super) lease_expires_at: Option<Timestamp>,
    pub(super) next_due: Option<Timestamp>,
    pub(super) paused: Vec<i32>,
    /// The claim number has a claim with another nonce: this fetch repeats an earlier one.
    pub(super) is_repeat: bool,
}

impl Head {
    pub(super) fn of(rows: &[Row]) -> Answer<Self> {
        let row = rows.first().ok_or_else(|| crate::error::undecodable("answer"))?;
        Ok(Self {
            now: row::timestamp(row, 0)?,
            lease_expires_at: row::optional_timestamp(row, 1)?,
            next_due: row::optional_timestamp(row, 2)?,
            paused: row.try_get(3)?,
            is_repeat: row.try_get(4)?,
        })
    }

    /// How long the worker's leases hold from now on. Fails if the worker is not registered or its lease has
    /// expired.
    pub(super) fn lease(&self, inner: &Inner, call: Call, request: &FetchRequest) -> Answer<Duration> {
        if call.now.is_none() {
            inner.learn_clock(self.now);
        }
        let expires_at = self.lease_expires_at.filter(|at| *at > self.now);
        Ok(expires_at.ok_or_else(|| BackendError::worker_gone(request.worker))?.since(self.now))
    }

    pub(super) fn queue_reply(&self, want: &QueueWant, number: Option<i32>) -> FetchedQueue {
        let mut state = FetchedQueue::new(want.queue.clone());
        state.paused = number.is_some_and(|number| self.paused.contains(&number));
        state
    }

    /// Like [`queue_reply`](Self::queue_reply), but also reports whether the queue is exhausted and when the
    /// next job is due.
    pub(super) fn state(&self, want: &QueueWant, number: Option<i32>, is_drained: bool) -> FetchedQueue {
        let mut state = self.queue_reply(want, number);
        state.exhausted = is_drained && !state.paused;
        state.next_due = self.next_due;
        state
    }
}
