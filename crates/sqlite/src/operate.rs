//! The operator's acts: cancel, retry, delete, update, release.

use std::collections::HashSet;
use std::time::Duration;

use gristmill_core::{
    Act, Cursor, Hint, JobId, JobPatch, JobState, Name, Order, Select, Timestamp, Verb, VerbReply,
    VerbRequest, Verdict, operate,
};
use rusqlite::params;

use crate::claim::Tally;
use crate::error::Answer;
use crate::group::Group;
use crate::list::scan;
use crate::locate::{Located, locate, locate_all};
use crate::row;
use crate::run_key::LAST_RUN;

pub(crate) fn cancel(group: &mut Group<'_>, request: &VerbRequest, now: Timestamp) -> Answer<VerbReply> {
    group.operate(Verb::Cancel, request, None, now)
}

pub(crate) fn retry(group: &mut Group<'_>, request: &VerbRequest, now: Timestamp) -> Answer<VerbReply> {
    group.operate(Verb::Retry, request, None, now)
}

pub(crate) fn delete(group: &mut Group<'_>, request: &VerbRequest, now: Timestamp) -> Answer<VerbReply> {
    group.operate(Verb::Delete, request, None, now)
}

pub(crate) fn update(
    group: &mut Group<'_>,
    (request, patch): &(VerbRequest, JobPatch),
    now: Timestamp,
) -> Answer<VerbReply> {
    group.operate(Verb::Update, request, Some(patch), now)
}

pub(crate) fn release_hold(
    group: &mut Group<'_>,
    request: &VerbRequest,
    now: Timestamp,
) -> Answer<VerbReply> {
    group.operate(Verb::ReleaseHold, request, None, now)
}

impl Group<'_> {
    /// Applies an act to each selected job.
    pub(crate) fn operate(
        &mut self,
        verb: Verb,
        request: &VerbRequest,
        patch: Option<&JobPatch>,
        now: Timestamp,
    ) -> Answer<VerbReply> {
        let (ids, next) = self.select(&request.select)?;
        let when = patch.and_then(|patch| patch.when);
        let mut reply = VerbReply::default();
        reply.next = next;
        // Their claims are found in one pass for all.
        let mut found = locate_all(self.connection, &ids)?;
        let mut seen = HashSet::with_capacity(ids.len());
        for (place, id) in ids.into_iter().enumerate() {
            let first = found[place].take();
            // One that is named twice is looked at again after the first act.
            let job = if seen.insert(id) { first } else { locate(self.connection, id)? };
            let Some(job) = job else {
                reply.jobs.push((id, Verdict::NotFound));
                continue;
            };
            let act = operate(verb, job.standing(), when, now);
            let by = (verb, request.actor.as_deref());
            reply.jobs.push((id, self.apply(&job, &act, patch, by, now)?));
        }
        Ok(reply)
    }

    fn apply(
        &mut self,
        job: &Located,
        act: &Act,
        patch: Option<&JobPatch>,
        (verb, actor): (Verb, Option<&str>),
        now: Timestamp,
    ) -> Answer<Verdict> {
        match *act {
            Act::Nothing(_) => {}
            Act::RequestCancel => self.request_cancel(job)?,
            Act::End(end) => {
                self.end_job(job, end, actor, now)?;
                return Ok(act.verdict());
            }
            Act::Restart { takes_unique_key } => {
                if takes_unique_key && let Some(holder) = self.retake_unique(job)? {
                    return Ok(Verdict::Conflict(holder));
                }
                self.restart(job, now)?;
            }
            Act::Move { state, run_at } => {
                self.take_out(&job.facts, job.state)?;
                let mut facts = job.facts.clone();
                if let Some(patch) = patch {
                    self.patch(job, patch)?;
                    let priority = patch.priority.map(|priority| i64::from(priority.get()));
                    facts.priority = priority.unwrap_or(facts.priority);
                }
                let reason = job.reason.as_deref().filter(|_| !job.is_parked);
                self.put(&facts, job.tally, state, run_at, reason)?;
            }
        }
        let verdict = act.verdict();
        // A restart may have given the job another seq.
        if verdict.leaves_event()
            && let Some(seq) = self.seq_of(job.facts.id)?
        {
            self.add_event(seq, now, verb.as_str(), actor, None)?;
        }
        Ok(verdict)
    }

    fn restart(&mut self, job: &Located, now: Timestamp) -> Answer<()> {
        self.take_out(&job.facts, job.state)?;
        if job.tally.run >= LAST_RUN {
            let (facts, tally) = self.renumber(&job.facts, job.tally)?;
            let again = Tally { run: tally.run, ..Tally::default() };
            return self.put(&facts, again, JobState::Available, now, None);
        }
        let run = job.tally.run;
        // An earlier completed run no longer tells the state.
        self.prepare("UPDATE jobs SET retried_run = ?2 WHERE seq = ?1")?
            .execute(params![job.facts.seq, run])?;
        self.put(&job.facts, Tally { run, ..Tally::default() }, JobState::Available, now, None)
    }

    fn select(&mut self, select: &Select) -> Answer<(Vec<JobId>, Option<Cursor>)> {
        Ok(match select {
            Select::Ids(ids) => (ids.clone(), None),
            Select::Filter { filter, cursor, limit } => {
                let page =
                    scan(self.connection, filter, *cursor, Order::OldestFirst, *limit, Duration::ZERO)?;
                (page.items.into_iter().map(|job| job.record.id).collect(), page.next)
            }
        })
    }

    fn request_cancel(&mut self, job: &Located) -> Answer<()> {
        // A job that no claim lists is in no place; the audit makes it available, and then it can be
        // cancelled.
        if let Some(lease) = job.lease {
            self.prepare(
                "INSERT INTO cancels (seq, run, worker) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            )?
            .execute(params![job.facts.seq, job.tally.run, row::worker_bytes(lease.worker)])?;
            self.cancels_changed();
            self.sums.hints.push(Hint::CancelRequested(job.facts.id));
        }
        Ok(())
    }

    fn retake_unique(&mut self, job: &Located) -> Answer<Option<JobId>> {
        if !job.facts.is_unique {
            return Ok(None);
        }
        let key = self
            .prepare("SELECT unique_key FROM jobs WHERE seq = ?1")?
            .query_row([job.facts.seq], |row| Ok(row::string(row, 0)))?
            .unwrap_or_default();
        self.take_unique(job.facts.queue, &key, job.facts.seq)
    }

    fn patch(&mut self, job: &Located, patch: &JobPatch) -> Answer<()> {
        self.prepare(include_str!("../sql/update_job.sql"))?.execute(params![
            job.facts.seq,
            patch.priority.map(gristmill_core::Priority::get),
            patch.max_attempts.map(std::num::NonZeroU16::get),
            patch.args.as_ref().map(gristmill_core::Args::as_bytes),
            patch.args.as_ref().and_then(|args| args.encoding().codec()).map(Name::as_str),
        ])?;
        Ok(())
    }
}
