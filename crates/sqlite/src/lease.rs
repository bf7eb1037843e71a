//! Workers: they register, renew all their leases at once, and retire.

use std::time::Duration;

use gristmill_core::{
    BackendError, BackendErrorKind, End, JobId, JobState, Name, RegisterWorker, RenewReply, RenewRequest,
    Timestamp, WorkerId, format_duration,
};
use rusqlite::params;

use crate::claim::Tally;
use crate::error::Answer;
use crate::group::Group;
use crate::row;

/// A lease outlives this many busy timeouts, so that a heartbeat that waits for the file is in time.
const BUSY_TIMEOUTS: u32 = 2;

pub(crate) fn register_worker(group: &mut Group<'_>, request: &RegisterWorker, now: Timestamp) -> Answer<()> {
    check_lease(request.lease, group.settings.busy_timeout)?;
    let id = row::worker_bytes(request.worker);
    if group.prepare("SELECT 1 FROM workers WHERE worker = ?1")?.exists([id])? {
        group.alive(request.worker, now)?;
    }
    group.prepare(include_str!("../sql/register_worker.sql"))?.execute(params![
        id,
        request.label,
        now.as_millis(),
        (now + request.lease).as_millis(),
        row::millis(request.lease),
        request.slots,
        row::write_names(&request.queues),
        row::write_names(&request.kinds),
    ])?;
    Ok(())
}

/// The shortest lease of a worker of a file with this busy timeout.
pub(crate) fn shortest(busy_timeout: Duration) -> Duration {
    busy_timeout * BUSY_TIMEOUTS
}

fn check_lease(lease: Duration, busy_timeout: Duration) -> Result<(), BackendError> {
    let shortest = shortest(busy_timeout);
    if lease >= shortest {
        return Ok(());
    }
    let (lease, timeout, shortest) =
        (format_duration(lease), format_duration(busy_timeout), format_duration(shortest));
    let message = format!("a lease of {lease} is too short for a busy timeout of {timeout}");
    Err(BackendError::new(BackendErrorKind::Refused, message)
        .with_hint(format!("take a lease of {shortest} or more, or shorten the busy timeout")))
}

pub(crate) fn renew(group: &mut Group<'_>, request: &RenewRequest, now: Timestamp) -> Answer<RenewReply> {
    let lease = group.alive(request.worker, now)?.lease;
    group
        .prepare("UPDATE workers SET heartbeat_at = ?2, lease_expires_at = ?3 WHERE worker = ?1")?
        .execute(params![row::worker_bytes(request.worker), now.as_millis(), (now + lease).as_millis()])?;
    let mut reply = RenewReply::default();
    reply.expires_in = lease;
    let claims = group.claims_of(request.worker)?;
    let is_there = |number| claims.iter().any(|(_, other)| *other == number);
    reply.lost = request.known_claims.iter().copied().filter(|number| !is_there(*number)).collect();
    for (key, number) in claims {
        if !request.known_claims.contains(&number) {
            group.give_back(key, now)?;
            reply.given_back.push(number);
        }
    }
    reply.cancels = group.cancels_of(request.worker)?;
    reply.paused = group.paused_queues_of(request.worker)?;
    Ok(reply)
}

pub(crate) fn retire_worker(group: &mut Group<'_>, worker: &WorkerId, now: Timestamp) -> Answer<()> {
    for (key, _) in group.claims_of(*worker)? {
        group.give_back(key, now)?;
    }
    group.prepare("DELETE FROM workers WHERE worker = ?1")?.execute([row::worker_bytes(*worker)])?;
    Ok(())
}

impl Group<'_> {
    /// A waiting job becomes available, due no later than now; whether it was there. A row of a job that is
    /// gone goes, too: it would stand at the head of what is due for ever.
    pub(crate) fn make_available(&mut self, seq: i64, now: Timestamp) -> Answer<bool> {
        let mut select = self.prepare(include_str!("../sql/waiting.sql"))?;
        let (state, tally) = {
            let mut rows = select.query([seq])?;
            let Some(row) = rows.next()? else { return Ok(false) };
            let tally = Tally {
                run: row::count32(row, 1),
                attempt: row::count16(row, 2),
                crashes: row::count16(row, 3),
            };
            (row::state(row::integer(row, 0)).unwrap_or(JobState::Suspended), tally)
        };
        let Some(job) = self.facts(seq)? else {
            self.prepare("DELETE FROM waiting WHERE seq = ?1")?.execute([seq])?;
            return Ok(false);
        };
        self.take_out(&job, state)?;
        self.put(&job, tally, JobState::Available, job.run_at.min(now), None)?;
        Ok(true)
    }

    /// The running jobs of a worker with a requested cancel.
    fn cancels_of(&mut self, worker: WorkerId) -> Answer<Vec<(JobId, u32)>> {
        if !self.has_cancels()? {
            return Ok(Vec::new());
        }
        let mut select = self.prepare(include_str!("../sql/cancels_of.sql"))?;
        let rows = select
            .query_map([row::worker_bytes(worker)], |row| Ok((row::job_id(row, 0), row::count32(row, 1))))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn paused_queues_of(&mut self, worker: WorkerId) -> Answer<Vec<Name>> {
        let mut select = self.prepare(include_str!("../sql/paused_queues_of.sql"))?;
        let rows = select.query_map([row::worker_bytes(worker)], |row| row.get(0))?;
        let numbers = rows.collect::<rusqlite::Result<Vec<i64>>>()?;
        let mut names =
            numbers.into_iter().map(|queue| self.queue_name(queue)).collect::<Answer<Vec<_>>>()?;
        names.retain(|name| name.as_str() != Name::UNREADABLE);
        Ok(names)
    }

    /// Ends the open runs of a claim as released, their attempts refunded. The claim goes with the last of
    /// them.
    fn give_back(&mut self, key: i64, now: Timestamp) -> Answer<()> {
        let Some(mut held) = self.held_by_key(key)? else { return Ok(()) };
        for place in self.open_members(&held.claim)? {
            let facts = self.run_facts(&held, place)?;
            let end = End::of_give_back(facts, now);
            self.end_run(&mut held, place, end, None, now)?;
        }
        self.drop_claim(&held)
    }
}
