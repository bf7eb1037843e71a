//! Promote, rescue, audit: bounded rounds that any worker may run.

use gristmill_core::{
    AuditReply, Cursor, End, JobId, JobState, Maintained, RescueReply, Rescued, RetryPolicy, Timestamp,
};
use rusqlite::{OptionalExtension, params};

use crate::error::Answer;
use crate::group::Group;
use crate::locate::{Located, find_leases, jobs_where, read};
use crate::row;

pub(crate) fn promote(group: &mut Group<'_>, limit: usize, now: Timestamp) -> Answer<Maintained> {
    let requests = group.apply_requests(limit, now)?;
    let mut select = group.prepare(include_str!("../sql/due.sql"))?;
    let due = select
        .query_map([now.as_millis(), row::size(limit)], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    let mut done = requests.done;
    for seq in due {
        done += usize::from(group.make_available(seq, now)?);
    }
    let next_due = group.next_due()?.into_iter().chain(requests.resume_at).min();
    let mut round = Maintained::round(done, next_due, now);
    round.more |= requests.more;
    Ok(round)
}

pub(crate) fn rescue(group: &mut Group<'_>, limit: usize, now: Timestamp) -> Answer<RescueReply> {
    let mut reply = RescueReply::default();
    // A worker is dead before its claims are taken: from here on it can neither fetch nor renew.
    group.prepare("DELETE FROM workers WHERE lease_expires_at <= ?1")?.execute([now.as_millis()])?;
    let mut select = group.prepare(include_str!("../sql/next_orphaned_claim.sql"))?;
    while let Some(key) = select.query_row([], |row| row.get(0)).optional()? {
        if reply.jobs.len() >= limit {
            reply.more = true;
            break;
        }
        group.rescue_claim(key, now, &mut reply.jobs)?;
    }
    let next_due: Option<i64> =
        group.prepare("SELECT min(lease_expires_at) FROM workers")?.query_row([], |row| row.get(0))?;
    reply.next_due = next_due.map(Timestamp::from_millis);
    Ok(reply)
}

/// Where an audit begins and how far it goes.
pub(crate) type AuditRange = (Option<Cursor>, usize);

pub(crate) fn audit(group: &mut Group<'_>, range: &AuditRange, now: Timestamp) -> Answer<AuditReply> {
    let (cursor, limit) = range;
    let mut found = group.jobs_behind(*cursor, *limit)?;
    let mut reply = AuditReply::default();
    reply.checked = found.len() as u64;
    reply.next = found.last().filter(|_| found.len() == *limit).map(|job| Cursor(job.facts.id));
    find_leases(group.connection, found.iter_mut())?;
    let lost = |job: &&Located| job.state == JobState::Running && job.lease.is_none();
    for job in found.iter().filter(lost) {
        group.count(job.facts.queue, JobState::Running, -1);
        group.put(&job.facts, job.tally, JobState::Available, now, None)?;
        reply.repaired.push(job.facts.id);
    }
    Ok(reply)
}

impl Group<'_> {
    /// Ends the open runs of a dead worker's claim as crashed; only what is ended here is put back.
    fn rescue_claim(&mut self, key: i64, now: Timestamp, rescued: &mut Vec<Rescued>) -> Answer<()> {
        let Some(mut held) = self.held_by_key(key)? else { return Ok(()) };
        for place in self.open_members(&held.claim)? {
            let facts = self.run_facts(&held, place)?;
            let policy = self.retry_policy(held.claim.members[place].seq)?;
            let end = End::of_crash(&policy, facts, fastrand::f64(), now);
            if let Some(state) = self.end_run(&mut held, place, end, None, now)?
                && let Some((id, queue)) =
                    held.claim.members[place].facts.as_ref().map(|job| (job.id, job.queue))
            {
                rescued.push(Rescued::new(id, self.queue_name(queue)?, state));
            }
        }
        self.drop_claim(&held)
    }

    fn retry_policy(&self, seq: i64) -> Answer<RetryPolicy> {
        let mut select = self.prepare("SELECT retry FROM jobs WHERE seq = ?1")?;
        let json = select.query_row([seq], |row| Ok(row::string(row, 0))).optional()?.flatten();
        // A policy of a newer version that does not decode counts as not set.
        Ok(json.and_then(|json| row::read_retry(&json)).unwrap_or_default())
    }

    fn jobs_behind(&self, cursor: Option<Cursor>, limit: usize) -> Answer<Vec<Located>> {
        let behind = cursor.map_or(JobId::from_bytes([0; 16]), |Cursor(id)| id);
        let sql = jobs_where!("WHERE jobs.id > ?1 ORDER BY jobs.id LIMIT ?2");
        let mut select = self.prepare(sql)?;
        let bound = params![behind.as_bytes(), row::size(limit)];
        let rows = select.query_map(bound, |row| Ok(read(row)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}
