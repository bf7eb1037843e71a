//! Core's decisions, applied to many jobs at once.

use std::borrow::Cow;

use gristmill_core::{Act, Args, JobFilter, JobPatch, JobState, Name, Stay, Verb, Verdict, operate};
use uuid::Uuid;

use super::Acting;
use super::hold::{Claims, hold};
use super::unique::take_uniques;
use crate::end::{self, Parts};
use crate::error::Answer;
use crate::events::add_events;
use crate::hint_sum::HintSum;
use crate::locate::Located;
use crate::place::{self, Put};
use crate::row;
use crate::session::Session;
use crate::statement::sql;

/// What is to be written, each kind of it for all jobs.
#[derive(Debug, Default)]
struct Writes<'j> {
    /// Nonce of the claim, id.
    cancels: Vec<(Uuid, Uuid)>,
    /// Jobs that leave their place in `ready`, `waiting` or `ended`.
    taken_out: Vec<Uuid>,
    /// The queues of completed jobs that are so no longer.
    uncounted: Vec<i32>,
    /// Completed jobs that run again, and their latest run.
    retried: Vec<(Uuid, i32)>,
    patched: Vec<Uuid>,
    puts: Vec<Put<'j>>,
    /// Those that disappear.
    erased: Vec<Uuid>,
}

/// Applies an act to jobs whose rows in `jobs` are locked. Each id stands here once; a job that the filter no
/// longer means has no verdict.
pub(super) async fn apply(
    session: &mut Session,
    acting: &Acting<'_>,
    ids: &[Uuid],
    hints: &mut HintSum,
) -> Answer<Vec<Option<Verdict>>> {
    let claims = match acting.verb {
        Verb::Cancel => Claims::OfCancel,
        Verb::Retry | Verb::Delete | Verb::Update | Verb::ReleaseHold => Claims::Leave,
    };
    let jobs = hold(session, ids, claims).await?;
    let acts: Vec<Option<(&Located, Act)>> = ids
        .iter()
        .map(|id| {
            let job = jobs.get(id).filter(|job| acting.filter.is_none_or(|filter| is_meant(filter, job)))?;
            Some((job, decide(acting, job)))
        })
        .collect();
    let takers: Vec<&Located> = acts
        .iter()
        .flatten()
        .filter(|(_, act)| matches!(act, Act::Restart { takes_unique_key: true }))
        .map(|(job, _)| *job)
        .collect();
    let holders = take_uniques(session, &takers).await?;
    let mut writes = Writes::default();
    let mut events = Vec::new();
    let mut verdicts = Vec::with_capacity(ids.len());
    for decided in &acts {
        verdicts.push(match decided {
            Some((job, _)) if holders.contains_key(&job.id) => {
                Some(Verdict::Conflict(row::job_id(holders[&job.id])))
            }
            Some((job, act)) => {
                let event = writes.add(acting, job, act);
                events.extend(event.map(|verb| (job.id, verb.as_str(), acting.actor, None)));
                Some(act.verdict())
            }
            None => acting.filter.is_none().then_some(Verdict::NotFound),
        });
    }
    writes.add_hints(acting, hints);
    writes.write(session, acting).await?;
    add_events(session, acting.now, &events).await?;
    Ok(verdicts)
}

fn decide(acting: &Acting<'_>, job: &Located) -> Act {
    let when = acting.patch.and_then(|patch| patch.when);
    match operate(acting.verb, job.standing(), when, acting.now) {
        // There is no number left for another run.
        Act::Restart { .. } if job.run >= row::LAST_RUN => Act::Nothing(Verdict::Refused(job.state)),
        act => act,
    }
}

/// What of a filter may have changed since the job was chosen: all else is written once.
fn is_meant(filter: &JobFilter, job: &Located) -> bool {
    let worker = job.held.map(|claim| claim.worker).or(job.latest.map(|run| run.worker));
    (filter.states.is_empty() || filter.states.contains(&job.state))
        && (filter.worker.is_none() || filter.worker == worker)
}

impl<'j> Writes<'j> {
    /// Adds what an act does to a job, and gives the event that it leaves with it.
    fn add(&mut self, acting: &Acting<'_>, job: &'j Located, act: &Act) -> Option<Verb> {
        match *act {
            Act::Nothing(_) => {}
            // A job that no claim lists is in no place; the audit makes it available, and then it can be
            // cancelled.
            Act::RequestCancel => self.cancels.extend(job.held.map(|claim| (claim.nonce, job.id))),
            Act::End(end) => {
                if job.state == JobState::Completed {
                    self.uncounted.push(job.queue);
                }
                // A run is not ended by a verb: of a running job the cancel is requested.
                let Parts { run: _, put, event } = Parts::of(end, &stays(job), job.is_unique(), None);
                if put.is_erased() {
                    self.erased.push(job.id);
                }
                self.moves(job, put);
                return event;
            }
            Act::Restart { .. } => {
                if job.state == JobState::Completed {
                    self.uncounted.push(job.queue);
                    self.retried.push((job.id, row::run(job.run)));
                }
                let state = JobState::Available;
                let run_at = acting.now;
                let stay = Stay::Due(run_at);
                self.moves(
                    job,
                    Put { state, stay, run_at, attempt: 0, crashes: 0, reason: None, ..stays(job) },
                );
            }
            Act::Move { state, run_at } => {
                let reason = job.reason.as_deref().filter(|_| !job.is_parked).map(Cow::from);
                let mut put = Put { state, stay: Stay::Due(run_at), run_at, reason, ..stays(job) };
                if let Some(patch) = acting.patch {
                    put.priority = patch.priority.map_or(put.priority, |priority| priority.get().into());
                    self.patched.push(job.id);
                }
                self.moves(job, put);
            }
        }
        act.verdict().leaves_event().then_some(acting.verb)
    }

    fn moves(&mut self, job: &Located, put: Put<'j>) {
        self.taken_out.push(job.id);
        self.puts.push(put);
    }

    fn add_hints(&self, acting: &Acting<'_>, hints: &mut HintSum) {
        for (_, id) in &self.cancels {
            hints.cancel_requested(row::job_id(*id));
        }
        end::add_hints(hints, &self.puts, acting.wants_ends);
    }

    /// Each kind of it in a statement or two.
    async fn write(&self, session: &mut Session, acting: &Acting<'_>) -> Answer<()> {
        if !self.cancels.is_empty() {
            let (nonces, ids): (Vec<Uuid>, Vec<Uuid>) = self.cancels.iter().copied().unzip();
            session.execute(sql!("request_cancels"), &[&nonces, &ids]).await?;
        }
        if !self.uncounted.is_empty() {
            session.execute(sql!("add_completed"), &[&self.uncounted, &-1_i64]).await?;
        }
        if !self.retried.is_empty() {
            let (ids, runs): (Vec<Uuid>, Vec<i32>) = self.retried.iter().copied().unzip();
            session.execute(sql!("note_retried"), &[&ids, &runs]).await?;
        }
        if let Some(patch) = acting.patch.filter(|_| !self.patched.is_empty()) {
            patch_jobs(session, &self.patched, patch).await?;
        }
        if !self.taken_out.is_empty() {
            place::take_out(session, &self.taken_out).await?;
        }
        let kept: Vec<Put<'_>> = self.puts.iter().filter(|put| !put.is_erased()).cloned().collect();
        if !kept.is_empty() {
            place::put(session, acting.now, &kept).await?;
        }
        if !self.erased.is_empty() {
            place::erase(session, &self.erased).await?;
        }
        Ok(())
    }
}

/// The job as it is: what an act does not change.
fn stays(job: &Located) -> Put<'_> {
    Put {
        id: job.id,
        queue: job.queue,
        priority: job.priority,
        run: job.run,
        attempt: job.attempt,
        crashes: job.crashes,
        state: job.state,
        stay: Stay::Due(job.run_at),
        run_at: job.run_at,
        reason: job.reason.as_deref().map(Cow::from),
        frees_key: false,
        hints_end: false,
        has_retention: job.options.retention.is_some(),
    }
}

async fn patch_jobs(session: &mut Session, ids: &[Uuid], patch: &JobPatch) -> Answer<()> {
    let priority = patch.priority.map(|priority| i16::from(priority.get()));
    let max_attempts = patch.max_attempts.map(|most| i32::from(most.get()));
    let args = patch.args.as_ref().map(Args::as_bytes);
    if priority.is_none() && max_attempts.is_none() && args.is_none() {
        return Ok(());
    }
    let codec = patch.args.as_ref().and_then(|args| args.encoding().codec()).map(Name::as_str);
    session.execute(sql!("update_jobs"), &[&ids, &priority, &max_attempts, &args, &codec]).await
}
