//! The one way a job moves: out of its place, into another, its queue's numbers kept in step.

use gristmill_core::{JobEvent, JobId, JobState, Reason, Timestamp};
use rusqlite::{OptionalExtension, params};

use crate::claim::{Facts, Tally, members};
use crate::error::Answer;
use crate::group::Group;
use crate::row;

/// A job that is parked, by its place in the line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parking {
    pub(crate) seq: i64,
    pub(crate) queue: i64,
    pub(crate) priority: i64,
    /// In milliseconds.
    pub(crate) run_at: i64,
}

impl From<&Facts> for Parking {
    fn from(job: &Facts) -> Self {
        let Facts { seq, queue, priority, run_at, .. } = *job;
        Self { seq, queue, priority, run_at: run_at.as_millis() }
    }
}

impl Group<'_> {
    /// Puts a job that is nowhere into the place of a state that is not terminal and not running.
    pub(crate) fn put(
        &mut self,
        job: &Facts,
        tally: Tally,
        state: JobState,
        due: Timestamp,
        reason: Option<&str>,
    ) -> Answer<()> {
        if due != job.run_at {
            // The key in `ready` is found through this row.
            self.prepare("UPDATE jobs SET run_at = ?2 WHERE seq = ?1")?
                .execute([job.seq, due.as_millis()])?;
        }
        let Tally { run, attempt, crashes } = tally;
        if state == JobState::Available {
            self.prepare(include_str!("../sql/insert_ready.sql"))?.execute(params![
                job.queue,
                job.priority,
                due.as_millis(),
                job.seq,
                run,
                attempt,
                crashes,
                reason
            ])?;
            self.hint_available(job.queue)?;
        } else {
            if state != JobState::Suspended {
                self.hint_due(due);
            }
            let state = row::state_number(state);
            self.prepare(include_str!("../sql/insert_waiting.sql"))?.execute(params![
                job.seq,
                state,
                due.as_millis(),
                run,
                attempt,
                crashes,
                reason
            ])?;
        }
        self.count(job.queue, state, 1);
        Ok(())
    }

    /// Parks a job that is nowhere: it is scheduled, due at no time, and keeps its place in the line.
    pub(crate) fn park(&mut self, job: Parking, tally: Tally) -> Answer<()> {
        self.prepare(include_str!("../sql/park.sql"))?.execute(params![
            job.seq,
            job.run_at,
            tally.run,
            tally.attempt,
            tally.crashes,
            Reason::NoHandler.as_str(),
            job.queue,
            job.priority,
        ])?;
        self.count(job.queue, JobState::Scheduled, 1);
        // Another worker may have a handler.
        self.hint_available(job.queue)
    }

    /// Takes a job out of the place of its state. A running one is in its claim and a completed one nowhere:
    /// there only the numbers change.
    pub(crate) fn take_out(&mut self, job: &Facts, state: JobState) -> Answer<()> {
        match state {
            JobState::Available => {
                let key = [job.queue, job.priority, job.run_at.as_millis(), job.seq];
                self.prepare(include_str!("../sql/delete_ready.sql"))?.execute(key)?;
            }
            JobState::Suspended | JobState::Scheduled | JobState::Retryable => {
                self.prepare("DELETE FROM waiting WHERE seq = ?1")?.execute([job.seq])?;
            }
            JobState::Cancelled | JobState::Discarded => {
                self.prepare("DELETE FROM ended WHERE seq = ?1")?.execute([job.seq])?;
            }
            JobState::Running | JobState::Completed => {}
        }
        self.count(job.queue, state, -1);
        Ok(())
    }

    /// Notes that claims may list runs of an erased job: with the run's row gone, a repeated finish has to
    /// look whether the job is there.
    pub(crate) fn note_erased(&mut self, seq: i64) {
        self.sums.erased.insert(seq);
    }

    /// Marks the claims that list an erased job; once a group, since it reads every claim.
    pub(crate) fn mark_pruned(&mut self) -> rusqlite::Result<()> {
        let erased = std::mem::take(&mut self.sums.erased);
        if erased.is_empty() {
            return Ok(());
        }
        let mut select = self.prepare("SELECT claim, members FROM claims WHERE pruned = 0")?;
        let mut rows = select.query([])?;
        let mut marked: Vec<i64> = Vec::new();
        while let Some(row) = rows.next()? {
            if members(row::blob(row, 1)).any(|(seq, _)| erased.contains(&seq)) {
                marked.push(row.get(0)?);
            }
        }
        drop(rows);
        let mut update = self.prepare("UPDATE claims SET pruned = 1 WHERE claim = ?1")?;
        for claim in marked {
            update.execute([claim])?;
        }
        Ok(())
    }

    /// Takes a job's unique key; the id of another holder if it is taken.
    pub(crate) fn take_unique(&mut self, queue: i64, key: &str, seq: i64) -> Answer<Option<JobId>> {
        let taken = self
            .prepare("INSERT INTO uniques (queue, key, seq) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?
            .execute(params![queue, key, seq])?;
        if taken == 1 {
            return Ok(None);
        }
        let mut select = self.prepare(include_str!("../sql/unique_holder.sql"))?;
        let mut rows = select.query(params![queue, key])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let (holder, id): (i64, JobId) = (row::integer(row, 0), row::job_id(row, 1));
        Ok((holder != seq).then_some(id))
    }

    /// Adds to what happened to a job outside its leases; the oldest go.
    pub(crate) fn add_event(
        &mut self,
        seq: i64,
        now: Timestamp,
        what: &str,
        actor: Option<&str>,
        detail: Option<&str>,
    ) -> Answer<()> {
        self.prepare("INSERT INTO events (seq, at, what, actor, detail) VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![seq, now.as_millis(), what, actor, detail])?;
        self.prepare(include_str!("../sql/trim_events.sql"))?
            .execute(params![seq, row::size(JobEvent::KEPT)])?;
        Ok(())
    }

    pub(crate) fn seq_of(&self, id: JobId) -> Answer<Option<i64>> {
        let mut select = self.prepare("SELECT seq FROM jobs WHERE id = ?1")?;
        Ok(select.query_row([id.as_bytes()], |row| row.get(0)).optional()?)
    }
}
