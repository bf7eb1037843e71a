//! The one way a run or a job ends.

use std::sync::Arc;

use gristmill_core::{End, FinishItem, JobState, RunFacts, RunRecord, Stay, Timestamp};
use rusqlite::params;

use crate::claim::{Claim, Facts, Held, Member, Tally};
use crate::error::Answer;
use crate::group::Group;
use crate::locate::Located;
use crate::row;
use crate::run::RunRow;
use crate::run_key::{LAST_RUN, run_keys};

/// Where a job is until it ends.
#[derive(Clone, Copy)]
enum Leaves<'h> {
    /// It runs, as a member of a claim.
    Claim(&'h Claim, &'h Member, &'h Facts),
    /// The place of its state.
    Place(&'h Located),
}

/// What comes with an end besides its consequences.
#[derive(Clone, Copy)]
enum EndDetail<'i> {
    /// What a worker says of its run; nothing where the store ends it.
    OfRun(Option<&'i FinishItem>),
    /// The operator's name.
    ByActor(Option<&'i str>),
}

impl Group<'_> {
    /// What the end of a member's run depends on. No run is the last: they are numbered anew.
    pub(crate) fn run_facts<'h>(&mut self, held: &'h Held, place: usize) -> Answer<RunFacts<'h>> {
        let Member { seq, tally, facts } = &held.claim.members[place];
        let cancel_requested = self.has_cancels()?
            && self
                .prepare("SELECT 1 FROM cancels WHERE seq = ?1 AND run = ?2")?
                .exists(params![seq, tally.run])?;
        Ok(RunFacts {
            attempt: tally.attempt,
            crashes: tally.crashes,
            max_attempts: facts.as_ref().map_or(u16::MAX, |job| job.max_attempts),
            cancel_requested,
            is_last_run: false,
            run_at: facts.as_ref().map_or(Timestamp::EPOCH, |job| job.run_at),
            retention: facts.as_ref().and_then(|job| job.retention.as_deref()),
        })
    }

    /// Ends the run of a claim's member: its row, which only one can append, then the job's move. Gives where
    /// the job went; `None` when the row was there.
    pub(crate) fn end_run(
        &mut self,
        held: &mut Held,
        place: usize,
        end: End,
        item: Option<&FinishItem>,
        now: Timestamp,
    ) -> Answer<Option<JobState>> {
        let claim = Arc::clone(&held.claim);
        let member = &claim.members[place];
        let Some(job) = &member.facts else { return Ok(None) };
        if !self.end(Leaves::Claim(&claim, member, job), end, EndDetail::OfRun(item), now)? {
            return Ok(None);
        }
        held.open -= 1;
        held.pruned |= end.stay == Stay::Erased;
        Ok(Some(end.state))
    }

    /// Ends a job that is not running.
    pub(crate) fn end_job(
        &mut self,
        job: &Located,
        end: End,
        actor: Option<&str>,
        now: Timestamp,
    ) -> Answer<()> {
        self.end(Leaves::Place(job), end, EndDetail::ByActor(actor), now).map(drop)
    }

    /// Applies all that follows; `false`, and nothing is done, when the run had ended.
    fn end(&mut self, leaves: Leaves<'_>, end: End, detail: EndDetail<'_>, now: Timestamp) -> Answer<bool> {
        let End { run, state, stay, attempt, crashes, reason, keeps_output, frees_key, event, hints_end } =
            end;
        let (item, actor) = match detail {
            EndDetail::OfRun(item) => (item, None),
            EndDetail::ByActor(actor) => (None, actor),
        };
        let reason = reason.text(item.and_then(|item| item.reason.as_deref()));
        let (job, latest) = match leaves {
            Leaves::Claim(claim, member, job) => {
                // A job that is listed by a claim ends with its run.
                let Some(run) = run else { return Ok(false) };
                let ended = RunRow { run, state, reason, keeps_output, item, now };
                if !self.append_run(claim, member, &ended)? {
                    return Ok(false);
                }
                self.close_run(job, member.tally.run)?;
                (job, member.tally.run)
            }
            Leaves::Place(located) => {
                self.take_out(&located.facts, located.state)?;
                (&located.facts, located.tally.run)
            }
        };
        let tally = Tally { run: latest, attempt, crashes };
        let comes_back = matches!(stay, Stay::Due(_) | Stay::Parked);
        let moved = (comes_back && latest >= LAST_RUN).then(|| self.renumber(job, tally)).transpose()?;
        let (job, tally) = moved.as_ref().map_or((job, tally), |(job, tally)| (job, *tally));
        if frees_key && job.is_unique {
            self.prepare(include_str!("../sql/free_unique.sql"))?.execute([job.seq])?;
        }
        if hints_end {
            self.hint_ended(job.id);
        }
        match stay {
            Stay::Due(due) => self.put(job, tally, state, due, reason)?,
            Stay::Parked => self.park(job.into(), tally)?,
            Stay::Kept { until } => {
                if state != JobState::Completed {
                    self.insert_ended(job, tally, state, now, reason)?;
                }
                self.count(job.queue, state, 1);
                self.expire(job.seq, until);
            }
            Stay::Erased => {
                self.erase(job.seq)?;
                // Claims of earlier runs may be open, too; the claim in hand is marked by the caller.
                if latest > u32::from(run.is_some()) {
                    self.note_erased(job.seq);
                }
            }
        }
        if let Some(verb) = event {
            self.add_event(job.seq, now, verb.as_str(), actor, None)?;
        }
        Ok(true)
    }

    /// A member's run is over.
    fn close_run(&mut self, job: &Facts, run: u32) -> Answer<()> {
        if RunRecord::trimmed_at(run).is_some() {
            self.sums.trimmed.insert(job.seq, run);
        }
        self.count(job.queue, JobState::Running, -1);
        if self.has_cancels()? {
            self.prepare("DELETE FROM cancels WHERE seq = ?1")?.execute([job.seq])?;
            self.cancels_changed();
        }
        Ok(())
    }

    fn insert_ended(
        &mut self,
        job: &Facts,
        tally: Tally,
        state: JobState,
        now: Timestamp,
        reason: Option<&str>,
    ) -> Answer<()> {
        let Tally { run, attempt, crashes } = tally;
        let state = row::state_number(state);
        let now = now.as_millis();
        self.prepare(include_str!("../sql/insert_ended.sql"))?
            .execute(params![job.seq, state, run, attempt, crashes, now, reason])?;
        Ok(())
    }

    /// Deletes a job that is nowhere, with all that is kept of it.
    fn erase(&mut self, seq: i64) -> Answer<()> {
        self.sums.has_erased = true;
        for sql in [
            "DELETE FROM jobs WHERE seq = ?1",
            "DELETE FROM records WHERE seq = ?1",
            "DELETE FROM logs WHERE seq = ?1",
            "DELETE FROM events WHERE seq = ?1",
            "DELETE FROM cancels WHERE seq = ?1",
        ] {
            self.prepare(sql)?.execute([seq])?;
        }
        let (first, last) = run_keys(seq);
        self.prepare("DELETE FROM runs WHERE run_key BETWEEN ?1 AND ?2")?.execute([first, last])?;
        Ok(())
    }
}
