//! The operator's acts: cancel, retry, delete, update, release.

use gristmill_core::{
    Cursor, Hint, JobId, JobPatch, JobState, Order, Select, Timestamp, Verb, VerbReply, VerbRequest, Verdict,
    When,
};
use rusqlite::params;

use crate::claim::Tally;
use crate::error::Answer;
use crate::group::Group;
use crate::list::scan;
use crate::locate::{Located, locate};
use crate::row;
use crate::run::LAST_RUN;

pub(crate) fn cancel(group: &mut Group<'_>, request: &VerbRequest, now: Timestamp) -> Answer<VerbReply> {
    group.act(Verb::Cancel, request, now, |group, job| match job.state {
        state if state.is_terminal() => Ok(Verdict::AlreadyTerminal),
        JobState::Running => {
            group.request_cancel(job)?;
            Ok(Verdict::Requested)
        }
        state => {
            group.take_out(&job.facts, state)?;
            if !group.end(&job.facts, job.tally, JobState::Cancelled, now, None)? {
                group.erase_one(job)?;
            }
            Ok(Verdict::Done)
        }
    })
}

pub(crate) fn retry(group: &mut Group<'_>, request: &VerbRequest, now: Timestamp) -> Answer<VerbReply> {
    group.act(Verb::Retry, request, now, |group, job| match job.state {
        JobState::Available => Ok(Verdict::Done),
        state @ (JobState::Running | JobState::Suspended) => Ok(Verdict::Refused(state)),
        state if job.tally.run >= LAST_RUN => Ok(Verdict::Refused(state)),
        state => {
            if let Some(holder) = group.retake_unique(job)? {
                return Ok(Verdict::Conflict(holder));
            }
            group.take_out(&job.facts, state)?;
            let run = job.tally.run;
            // An earlier completed run no longer tells the state.
            group
                .prepare("UPDATE jobs SET retried_run = ?2 WHERE seq = ?1")?
                .execute(params![job.facts.seq, run])?;
            group.put(&job.facts, Tally { run, ..Tally::default() }, JobState::Available, now, None)?;
            Ok(Verdict::Done)
        }
    })
}

pub(crate) fn delete(group: &mut Group<'_>, request: &VerbRequest, now: Timestamp) -> Answer<VerbReply> {
    group.act(Verb::Delete, request, now, |group, job| match job.state {
        JobState::Running => Ok(Verdict::Refused(JobState::Running)),
        state => {
            group.take_out(&job.facts, state)?;
            group.erase_one(job)?;
            Ok(Verdict::Done)
        }
    })
}

pub(crate) fn update(
    group: &mut Group<'_>,
    request: &(VerbRequest, JobPatch),
    now: Timestamp,
) -> Answer<VerbReply> {
    let (request, patch) = request;
    group.act(Verb::Update, request, now, |group, job| {
        if !job.state.is_waiting() && job.state != JobState::Available {
            return Ok(Verdict::Refused(job.state));
        }
        let (next, due) = match patch.when {
            Some(when) if when != When::Suspended && job.state != JobState::Suspended => when.resolve(now),
            _ => (job.state, job.facts.run_at),
        };
        group.take_out(&job.facts, job.state)?;
        group.patch(job, patch)?;
        let mut facts = job.facts.clone();
        facts.priority = patch.priority.map_or(facts.priority, |priority| i64::from(priority.get()));
        group.put(&facts, job.tally, next, due, job.reason.as_deref())?;
        Ok(Verdict::Done)
    })
}

pub(crate) fn release_hold(
    group: &mut Group<'_>,
    request: &VerbRequest,
    now: Timestamp,
) -> Answer<VerbReply> {
    group.act(Verb::ReleaseHold, request, now, |group, job| match job.state {
        JobState::Suspended => {
            group.take_out(&job.facts, job.state)?;
            group.put(&job.facts, job.tally, JobState::Available, now, job.reason.as_deref())?;
            Ok(Verdict::Done)
        }
        state => Ok(Verdict::Refused(state)),
    })
}

impl Group<'_> {
    /// Applies an act to each selected job, and leaves an event where it changed something.
    fn act(
        &mut self,
        verb: Verb,
        request: &VerbRequest,
        now: Timestamp,
        mut apply: impl FnMut(&mut Self, &Located) -> Answer<Verdict>,
    ) -> Answer<VerbReply> {
        let (ids, next) = self.select(&request.select)?;
        let mut reply = VerbReply::default();
        reply.next = next;
        for id in ids {
            let Some(job) = locate(self.connection, id)? else {
                reply.jobs.push((id, Verdict::NotFound));
                continue;
            };
            let verdict = apply(self, &job)?;
            let changed = matches!(verdict, Verdict::Done | Verdict::Requested);
            if changed && self.seq_of(id)?.is_some() {
                self.add_event(job.facts.seq, now, verb.as_str(), request.actor.as_deref(), None)?;
            }
            reply.jobs.push((id, verdict));
        }
        Ok(reply)
    }

    fn select(&mut self, select: &Select) -> Answer<(Vec<JobId>, Option<Cursor>)> {
        Ok(match select {
            Select::Ids(ids) => (ids.clone(), None),
            Select::Filter { filter, cursor, limit } => {
                let page = scan(self.connection, filter, *cursor, Order::OldestFirst, *limit)?;
                (page.items.into_iter().map(|job| job.record.id).collect(), page.next)
            }
            _ => (Vec::new(), None),
        })
    }

    fn request_cancel(&mut self, job: &Located) -> Answer<()> {
        // A job that no claim lists is in no place; the audit makes it available, and then it can be cancelled.
        if let Some(lease) = job.lease {
            self.prepare(
                "INSERT INTO cancels (seq, run, worker) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            )?
            .execute(params![job.facts.seq, job.tally.run, row::worker_bytes(lease.worker)])?;
            self.cancels_changed();
            self.hints.push(Hint::CancelRequested(job.facts.id));
        }
        Ok(())
    }

    fn retake_unique(&mut self, job: &Located) -> Answer<Option<JobId>> {
        if !job.facts.is_unique || !job.state.is_terminal() {
            return Ok(None);
        }
        let key: String = self
            .prepare("SELECT unique_key FROM jobs WHERE seq = ?1")?
            .query_row([job.facts.seq], |row| row.get(0))?;
        self.take_unique(job.facts.queue, &key, job.facts.seq)
    }

    fn erase_one(&mut self, job: &Located) -> Answer<()> {
        self.erase(&job.facts)?;
        // Only a job that has run can be in a claim.
        if job.tally.run > 0 {
            self.note_erased(job.facts.seq);
        }
        Ok(())
    }

    fn patch(&mut self, job: &Located, patch: &JobPatch) -> Answer<()> {
        self.prepare(include_str!("../sql/update_job.sql"))?.execute(params![
            job.facts.seq,
            patch.priority.map(gristmill_core::Priority::get),
            patch.max_attempts.map(std::num::NonZeroU16::get),
            patch.args.as_ref().map(gristmill_core::Args::as_bytes),
        ])?;
        Ok(())
    }
}
