//! Deletes ended jobs past their retention.

use gristmill_core::{End, Maintained, Timestamp};
use rusqlite::{OptionalExtension, params};

use crate::error::{Answer, Fail};
use crate::group::Group;
use crate::locate::{Located, jobs_where, read};

/// Bytes a job takes in a row of `expiries`.
const SEQ_BYTES: usize = 8;
/// Entries of `expiries` that one call looks at for each job it may delete: those of jobs that were retried
/// or deleted since cost a look, too.
const LOOKS_A_JOB: usize = 4;

pub(crate) fn prune(group: &mut Group<'_>, limit: usize, now: Timestamp) -> Answer<Maintained> {
    let mut erased = 0;
    let mut looks = limit.saturating_mul(LOOKS_A_JOB);
    while erased < limit && looks > 0 {
        let Some(mut expiry) = group.next_expiry(now)? else { break };
        let before = expiry.seqs.len();
        while erased < limit && looks > 0 {
            let Some(seq) = expiry.seqs.pop() else { break };
            looks -= 1;
            if let Some((job, end)) = group.past_retention(seq, now)? {
                group.end_job(&job, end, None, now)?;
                erased += 1;
            }
        }
        group.keep_expiry(&expiry, before)?;
    }
    let next_due: Option<i64> =
        group.prepare("SELECT min(delete_at) FROM expiries")?.query_row([], |row| row.get(0))?;
    let next_register = group.prune_registers(limit, now)?;
    let next_due = next_due.map(Timestamp::from_millis).into_iter().chain(next_register).min();
    Ok(Maintained::round(erased, next_due, now))
}

/// Jobs whose retention passes at one time; the earliest is last.
struct Expiry {
    key: i64,
    seqs: Vec<i64>,
}

impl Group<'_> {
    fn next_expiry(&self, now: Timestamp) -> Answer<Option<Expiry>> {
        let mut select = self.prepare(include_str!("../sql/next_expiry.sql"))?;
        let expiry = select.query_row([now.as_millis()], |row| {
            Ok((row.get(0)?, row.get_ref(1)?.as_blob().map(<[u8]>::to_vec).unwrap_or_default()))
        });
        let Some((key, bytes)) = expiry.optional()? else { return Ok(None) };
        let chunks = bytes.chunks_exact(SEQ_BYTES);
        let mut seqs: Vec<i64> =
            chunks.map(|chunk| i64::from_le_bytes(chunk.try_into().expect("eight bytes"))).collect();
        seqs.reverse();
        Ok(Some(Expiry { key, seqs }))
    }

    /// The job and its end, if its retention has passed; it may have been retried, or deleted, since that was
    /// noted.
    fn past_retention(&self, seq: i64, now: Timestamp) -> Answer<Option<(Located, End)>> {
        let mut select = self.prepare(jobs_where!("WHERE jobs.seq = ?1"))?;
        let mut rows = select.query([seq])?;
        let Some(job) = rows.next()?.map(read) else { return Ok(None) };
        let standing = job.standing();
        let until = job.finished_at.and_then(|at| standing.expires_at(at));
        let end = until.and_then(|until| End::of_expiry(standing, until, now));
        Ok(end.map(|end| (job, end)))
    }

    fn keep_expiry(&self, expiry: &Expiry, before: usize) -> Result<(), Fail> {
        if expiry.seqs.is_empty() {
            self.prepare("DELETE FROM expiries WHERE expiry = ?1")?.execute([expiry.key])?;
        } else if expiry.seqs.len() < before {
            let bytes: Vec<u8> = expiry.seqs.iter().rev().flat_map(|seq| seq.to_le_bytes()).collect();
            self.prepare("UPDATE expiries SET seqs = ?2 WHERE expiry = ?1")?
                .execute(params![expiry.key, bytes])?;
        }
        Ok(())
    }
}
