//! Finds completed jobs of the default retention by their ids, where no partition goes with them.
//!
//! A job of the default retention whose deletion was not noted completed within [`LATE`] after it was made,
//! and its id carries the time it was made. Once it is past, its id is smaller than the id of one retention
//! ago. It is at most [`LATE`] older than that, unless no process pruned meanwhile. A process walks from the
//! start once; from then on it begins there.

use std::sync::{Mutex, PoisonError};

use gristmill_core::{Call, JobState, Retention, Timestamp};
use uuid::Uuid;

use crate::error::Answer;
use crate::handle::Inner;
use crate::locked::Parts;
use crate::partition::{self, Span};
use crate::place::LATE;
use crate::prune::{BATCH, erase_completed};
use crate::row;
use crate::session::Session;
use crate::statement::sql;

/// Runs that are read at a time.
const PAGE: usize = 1_000;
/// Runs that a call reads at most.
const MOST: usize = 50_000;

/// How far a process has swept: before this id no job is left for it.
#[derive(Debug, Default)]
pub(crate) struct Swept(Mutex<Uuid>);

impl Swept {
    /// It sweeps from the start again.
    pub(crate) fn forget(&self) {
        self.set(Uuid::nil());
    }

    fn get(&self) -> Uuid {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, id: Uuid) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = id;
    }
}

/// What a sweep did.
#[derive(Debug)]
pub(crate) struct Sweep {
    pub(crate) done: usize,
    /// From this id on nothing was looked at.
    pub(crate) end: Uuid,
    /// When the first job before that is past its retention.
    pub(crate) next_due: Option<Timestamp>,
    /// It ended early, for it had read enough.
    pub(crate) is_cut: bool,
    /// The first job that another transaction has locked.
    left: Option<Uuid>,
    /// How many more runs it reads.
    looks: usize,
    now: Timestamp,
    limit: usize,
}

/// An ended run.
#[derive(Debug, Clone, Copy)]
struct Ended {
    id: Uuid,
    run: i32,
    /// Where its job went; `None` for a state that is unknown.
    state: Option<JobState>,
    finished_at: Timestamp,
}

/// The first id that can be made at an instant.
pub(crate) fn first_id(at: Timestamp) -> Uuid {
    Uuid::from_u128(u128::from(u64::try_from(at.as_millis()).unwrap_or(0)) << 80)
}

/// Deletes completed jobs past the default retention, at most `limit`.
pub(crate) async fn sweep(
    inner: &Inner,
    session: &mut Session,
    call: Call,
    now: Timestamp,
    limit: usize,
) -> Answer<Sweep> {
    let kept = Retention::default().completed;
    // A test's clock may be anywhere, and what it says is nothing to remember.
    let remembers = call.now.is_none();
    let (begin, looks) = if remembers { (inner.swept.get(), MOST) } else { (Uuid::nil(), usize::MAX) };
    let mut sweep = Sweep { looks, limit, ..Sweep::nothing(now) };
    let mut reached = None;
    for span in partition::spans(session, now, begin, sweep.end).await? {
        if span.is_rotated {
            sweep.due(now);
            reached = reached.or(Some(span.from));
        } else if let Some(left) = sweep.span(session, span).await? {
            reached = reached.or(Some(left));
            break;
        }
    }
    if remembers {
        let last = first_id(now - (kept + LATE));
        let reached = [reached, sweep.left].into_iter().flatten().min();
        inner.swept.set(reached.map_or(last, |id| id.min(last)));
    }
    Ok(sweep)
}

impl Sweep {
    /// A sweep that has looked at nothing.
    pub(crate) fn nothing(now: Timestamp) -> Self {
        let end = first_id(now - Retention::default().completed);
        Self { done: 0, end, next_due: None, is_cut: false, left: None, looks: 0, now, limit: 0 }
    }

    /// Sweeps a span; the first id that was left, if it ended early.
    async fn span(&mut self, session: &mut Session, span: Span) -> Answer<Option<Uuid>> {
        let mut behind = (span.from, -1);
        loop {
            let page = page(session, behind, span.to).await?;
            let Some(last) = page.last() else { return Ok(None) };
            behind = (last.id, last.run);
            self.looks = self.looks.saturating_sub(page.len());
            let past = self.past(&page);
            let mut left = past.as_slice();
            while let Some(first) = left.first() {
                if self.done >= self.limit {
                    self.due(self.now);
                    return Ok(Some(*first));
                }
                let (batch, rest) = left.split_at(left.len().min(BATCH).min(self.limit - self.done));
                self.erase(session, batch).await?;
                left = rest;
            }
            if page.len() < PAGE {
                return Ok(None);
            }
            if self.looks == 0 {
                (self.is_cut, self.end) = (true, last.id);
                return Ok(Some(last.id));
            }
        }
    }

    /// Deletes those that are past their retention. What other transactions have locked is swept again.
    async fn erase(&mut self, session: &mut Session, ids: &[Uuid]) -> Answer<()> {
        let mut parts = Parts::whole(ids.len());
        while let Some(part) = parts.next() {
            session.begin_hasty().await?;
            match erase_completed(session, self.now, &ids[part.clone()]).await {
                Ok(completed) => {
                    session.commit().await?;
                    self.done += completed.erased;
                    self.leave(completed.held.into_iter().min());
                }
                Err(fail) if fail.is_end_of_turn() => {
                    session.roll_back().await?;
                    if parts.is_set_aside(&part) {
                        self.leave(ids[part].iter().min().copied());
                    }
                }
                Err(fail) => return Err(fail),
            }
        }
        Ok(())
    }

    fn leave(&mut self, id: Option<Uuid>) {
        if let Some(id) = id {
            self.left = Some(self.left.map_or(id, |first| first.min(id)));
            self.due(self.now);
        }
    }

    /// Those whose jobs may be past their retention. Of the others it is noted when they will be.
    fn past(&mut self, page: &[Ended]) -> Vec<Uuid> {
        let mut past = Vec::new();
        for run in page.iter().filter(|run| run.state == Some(JobState::Completed)) {
            let due = run.finished_at + Retention::default().completed;
            if due <= self.now {
                past.push(run.id);
            } else {
                self.due(due);
            }
        }
        past
    }

    fn due(&mut self, due: Timestamp) {
        self.next_due = Some(self.next_due.map_or(due, |earliest| earliest.min(due)));
    }
}

async fn page(session: &mut Session, (id, run): (Uuid, i32), to: Uuid) -> Answer<Vec<Ended>> {
    let rows = session.query(sql!("walk_attempts"), &[&id, &run, &to, &row::size(PAGE)]).await?;
    rows.iter()
        .map(|row| {
            Ok(Ended {
                id: row.try_get(0)?,
                run: row.try_get(1)?,
                state: row::state(row::get(row, 2)?),
                finished_at: row::timestamp(row, 3)?,
            })
        })
        .collect()
}
