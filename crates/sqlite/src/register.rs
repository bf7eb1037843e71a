//! Registers: commit, pages, and the end of those that were forgotten.

use bytes::Bytes;
use gristmill_core::{
    Change, CommitVerdict, Committed, Register, RegisterPage, RegisterQuery, RegisterSelect, Stamp,
    Timestamp, commit_on,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::Answer;
use crate::group::Group;
use crate::row;

pub(crate) fn commit(group: &mut Group<'_>, changes: &[Change], now: Timestamp) -> Answer<Vec<Committed>> {
    Change::check_call(changes)?;
    changes.iter().map(|change| group.commit_change(change, now)).collect()
}

impl Group<'_> {
    fn commit_change(&mut self, change: &Change, now: Timestamp) -> Answer<Committed> {
        let Change { space, key, put, effects, .. } = change;
        let standing = find(self.connection, space.as_str(), key)?;
        match commit_on(standing.as_ref(), change, now) {
            CommitVerdict::Refused { why } => return Ok(Committed::Refused { why }),
            CommitVerdict::Again => return Ok(Committed::Again),
            CommitVerdict::Stale => {
                return Ok(Committed::Stale(standing.filter(|standing| !standing.is_forgotten(now))));
            }
            CommitVerdict::Write => {}
        }
        self.sums.bytes += put.value.len();
        self.prepare(include_str!("../sql/put_register.sql"))?.execute(params![
            space.as_str(),
            key.as_ref(),
            put.stamp.get().cast_signed(),
            std::str::from_utf8(&put.value).expect("JSON is UTF-8"),
            put.due.map(Timestamp::as_millis),
            put.forget_at.map(Timestamp::as_millis),
        ])?;
        let jobs = effects.jobs.iter().map(|job| self.store(job, now).map(Some));
        Ok(Committed::Done(jobs.collect::<Answer<_>>()?))
    }

    /// Deletes registers that were forgotten long enough ago; returns when the next one is due to go.
    pub(crate) fn prune_registers(&mut self, limit: usize, now: Timestamp) -> Answer<Option<Timestamp>> {
        let latest = now - Register::KEPT_FORGOTTEN;
        self.prepare(include_str!("../sql/prune_registers.sql"))?
            .execute(params![latest.as_millis(), row::size(limit)])?;
        let mut select = self.prepare("SELECT min(forget_at) FROM registers WHERE forget_at IS NOT NULL")?;
        let next: Option<i64> = select.query_row([], |row| row.get(0))?;
        Ok(next.map(|at| Timestamp::from_millis(at) + Register::KEPT_FORGOTTEN))
    }
}

fn find(connection: &Connection, space: &str, key: &[u8]) -> Answer<Option<Register>> {
    let mut select = connection.prepare_cached(include_str!("../sql/register.sql"))?;
    Ok(select.query_row(params![space, key], |row| Ok(read(row, 0))).optional()?)
}

fn read(row: &Row<'_>, first: usize) -> Register {
    // Zero is no stamp: a value that another program has written by hand.
    let stamp = Stamp::from_stored(row::integer(row, first).cast_unsigned());
    Register::from_stored(
        stamp.unwrap_or_else(Stamp::random),
        Bytes::from(row::string(row, first + 1).unwrap_or_default()),
        row::optional_timestamp(row, first + 2),
        row::optional_timestamp(row, first + 3),
    )
}

pub(crate) fn list_registers(
    connection: &Connection,
    query: &RegisterQuery,
    now: Timestamp,
) -> Answer<RegisterPage> {
    let space = query.space.as_str();
    // One more than wanted says whether more follow.
    let limit = row::size(query.limit.min(RegisterQuery::MAX_LIMIT) + 1);
    let keyed = |row: &Row<'_>| Ok((Bytes::copy_from_slice(row::blob(row, 0)), read(row, 1)));
    let found = match &query.select {
        RegisterSelect::Keys(keys) => {
            let range = query.keys();
            let mut keys: Vec<&Bytes> = keys
                .iter()
                .filter(|key| key.as_ref() >= &range.from[..] && key.as_ref() < &range.before[..])
                .collect();
            keys.sort();
            keys.dedup();
            if query.descending {
                keys.reverse();
            }
            let mut found = Vec::new();
            for key in keys {
                let register = find(connection, space, key)?.filter(|found| !found.is_forgotten(now));
                found.extend(register.map(|register| (key.clone(), register)));
            }
            found
        }
        RegisterSelect::DueBefore(before) => {
            let range = query.dues(*before);
            let mut select = connection.prepare_cached(if query.descending {
                include_str!("../sql/registers_by_due_descending.sql")
            } else {
                include_str!("../sql/registers_by_due.sql")
            })?;
            let bounds = params![
                space,
                range.from.0.as_millis(),
                range.from.1,
                range.before.0.as_millis(),
                range.before.1,
                now.as_millis(),
                limit
            ];
            select.query_map(bounds, keyed)?.collect::<rusqlite::Result<_>>()?
        }
        RegisterSelect::All | RegisterSelect::Prefix(_) => {
            let range = query.keys();
            let mut select = connection.prepare_cached(if query.descending {
                include_str!("../sql/registers_by_key_descending.sql")
            } else {
                include_str!("../sql/registers_by_key.sql")
            })?;
            let bounds = params![space, range.from, range.before, now.as_millis(), limit];
            select.query_map(bounds, keyed)?.collect::<rusqlite::Result<_>>()?
        }
    };
    Ok(query.page(found))
}
