//! Claims as rows: stored at a fetch, looked up at each finish, gone when each of their runs has ended.

use std::sync::Arc;

use gristmill_core::{ClaimId, Lease, WorkerId};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::claim::{Claim, Facts, Held, MEMBER_BYTES, Member, members, placed};
use crate::error::Answer;
use crate::group::Group;
use crate::row;
use crate::run_key::run_key;

impl Group<'_> {
    /// The claim a lease names, if its row is there and the token is the right one.
    pub(crate) fn held(&mut self, lease: &Lease) -> Answer<Option<Held>> {
        let (key, _) = placed(lease);
        let held = self.held_by_key(key)?;
        Ok(held.filter(|held| held.claim.nonce == lease.token.0))
    }

    /// The claim with this key, if it is there.
    pub(crate) fn held_by_key(&mut self, key: i64) -> Answer<Option<Held>> {
        let mut select = self.prepare(include_str!("../sql/claim.sql"))?;
        let mut rows = select.query([key])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let (open, pruned) = (row::integer(row, 4), row::integer(row, 5) != 0);
        let nonce = row::wide(row::blob(row, 2));
        if let Some(claim) = self.memory.claims.by_nonce.get(&nonce) {
            return Ok(Some(Held { claim: Arc::clone(claim), open, pruned }));
        }
        let claim = Arc::new(read(self.connection, key, row)?);
        self.memory.claims.remember(Arc::clone(&claim));
        Ok(Some(Held { claim, open, pruned }))
    }

    /// The key of a worker's claim with this number.
    pub(crate) fn claim_key(&self, worker: WorkerId, number: ClaimId) -> Answer<Option<i64>> {
        let mut select = self.prepare("SELECT claim FROM claims WHERE worker = ?1 AND number = ?2")?;
        let bound = params![row::worker_bytes(worker), number.0.cast_signed()];
        Ok(select.query_row(bound, |row| row.get(0)).optional()?)
    }

    /// Keys and numbers of a worker's claims.
    pub(crate) fn claims_of(&self, worker: WorkerId) -> Answer<Vec<(i64, ClaimId)>> {
        let mut select =
            self.prepare("SELECT claim, number FROM claims WHERE worker = ?1 ORDER BY number")?;
        let rows = select.query_map([row::worker_bytes(worker)], |row| {
            Ok((row.get(0)?, ClaimId(row.get::<_, i64>(1)?.cast_unsigned())))
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Stores a batch that has just been fetched.
    pub(crate) fn insert_claim(&mut self, claim: Claim) -> Answer<Arc<Claim>> {
        let mut members = Vec::with_capacity(claim.members.len() * MEMBER_BYTES);
        for Member { seq, tally, .. } in &claim.members {
            members.extend_from_slice(&seq.to_le_bytes());
            members.extend_from_slice(&tally.run.to_le_bytes());
            members.extend_from_slice(&tally.attempt.to_le_bytes());
            members.extend_from_slice(&tally.crashes.to_le_bytes());
        }
        self.prepare(include_str!("../sql/insert_claim.sql"))?.execute(params![
            row::worker_bytes(claim.worker),
            claim.number.0.cast_signed(),
            claim.nonce.to_be_bytes(),
            claim.fetched_at.as_millis(),
            row::size(claim.members.len()),
            members,
        ])?;
        let claim = Arc::new(Claim { key: self.connection.last_insert_rowid(), ..claim });
        self.memory.claims.remember(Arc::clone(&claim));
        Ok(claim)
    }

    /// Keeps how many runs of a claim are open after some have ended, and drops one that is used up. The
    /// count changes only together with a run's row, so none open means that every member has its row.
    pub(crate) fn keep_claim(&mut self, held: &Held) -> Answer<()> {
        let Held { claim, open, pruned } = held;
        if *open > 0 {
            self.prepare("UPDATE claims SET open = ?2, pruned = ?3 WHERE claim = ?1")?
                .execute(params![claim.key, open, pruned])?;
            Ok(())
        } else {
            self.drop_claim(held)
        }
    }

    /// Drops a claim whose members have all ended, or are gone.
    pub(crate) fn drop_claim(&mut self, held: &Held) -> Answer<()> {
        self.prepare("DELETE FROM claims WHERE claim = ?1")?.execute([held.claim.key])?;
        self.memory.claims.drop_one(held.claim.nonce);
        Ok(())
    }

    /// What the row of `jobs` says.
    pub(crate) fn facts(&self, seq: i64) -> Answer<Option<Facts>> {
        let mut select = self.prepare(include_str!("../sql/facts.sql"))?;
        let mut rows = select.query([seq])?;
        Ok(rows.next()?.map(read_facts))
    }

    /// The places of a claim's members whose run has not ended and whose job is there.
    pub(crate) fn open_members(&self, claim: &Claim) -> Answer<Vec<usize>> {
        let mut is_open = self.prepare(include_str!("../sql/run_is_open.sql"))?;
        let mut open = Vec::new();
        for (place, member) in claim.members.iter().enumerate().filter(|(_, member)| member.facts.is_some()) {
            if is_open.query_row([member.seq, run_key(member.seq, member.tally.run)], |row| row.get(0))? {
                open.push(place);
            }
        }
        Ok(open)
    }
}

fn read(connection: &Connection, key: i64, claim: &Row<'_>) -> Answer<Claim> {
    let mut select = connection.prepare_cached(include_str!("../sql/facts.sql"))?;
    let members = members(row::blob(claim, 6)).map(|(seq, tally)| {
        let mut rows = select.query([seq])?;
        let facts = rows.next()?.map(read_facts);
        Ok(Member { seq, tally, facts })
    });
    Ok(Claim {
        key,
        worker: row::worker_id(claim, 0),
        number: ClaimId(row::integer(claim, 1).cast_unsigned()),
        nonce: row::wide(row::blob(claim, 2)),
        fetched_at: row::timestamp(claim, 3),
        members: members.collect::<Answer<_>>()?,
    })
}

fn read_facts(row: &Row<'_>) -> Facts {
    Facts {
        seq: row::integer(row, 0),
        id: row::job_id(row, 1),
        queue: row::integer(row, 2),
        priority: row::integer(row, 3),
        run_at: row::timestamp(row, 4),
        max_attempts: row::max_attempts(row, 5).get(),
        is_unique: row::integer(row, 6) != 0,
        retention: row::read_retention(row, 7).map(Box::new),
    }
}
