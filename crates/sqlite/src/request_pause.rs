//! The pause between rounds of many requests, while other operations use the file.
//!
//! A hundred thousand requests at once would take most of the writer's time. Each process on the file applies
//! requests, so the pause is stored: with one of its own each, they would take several times the share.

use std::time::{Duration, Instant};

use gristmill_core::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Answer;
use crate::group::Group;

/// A pause is so many times as long as the round before it, and within these bounds: the commit takes its
/// time, too.
const TIMES: u32 = 15;
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);
/// Operations since a full round count if that was so long ago at most, its pause included.
const RECENT: Duration = Duration::from_secs(3);
/// Operations of another process count for so long.
const BUSY_FOR: Duration = Duration::from_secs(1);

/// Until when no process applies requests.
const AFTER: &str = "requests_after";
/// When a process last applied requests beside operations of its own.
const BESIDE: &str = "requests_beside";

pub(crate) fn paused_until(connection: &Connection, now: Timestamp) -> Answer<Option<Timestamp>> {
    let until = stored_time(connection, AFTER)?;
    // One in the distant future was stored by another clock.
    Ok(until.filter(|until| *until > now && until.since(now) <= LONGEST))
}

fn stored_time(connection: &Connection, name: &str) -> Answer<Option<Timestamp>> {
    let mut select = connection.prepare_cached("SELECT value FROM meta WHERE name = ?1")?;
    Ok(select.query_row([name], |row| row.get(0)).optional()?.map(Timestamp::from_millis))
}

impl Group<'_> {
    /// A round of requests began at `begun` and ends. Returns until when all processes pause, if they do.
    pub(crate) fn pause_requests(
        &mut self,
        is_full: bool,
        begun: Instant,
        now: Timestamp,
    ) -> Answer<Option<Timestamp>> {
        // One operation is this round itself.
        let are_others = std::mem::take(&mut self.memory.operations) > 1;
        let before = std::mem::replace(&mut self.memory.full_round, is_full.then_some(begun));
        if !is_full {
            return Ok(None);
        }
        if are_others && before.is_some_and(|before| begun - before < RECENT) {
            self.store_time(BESIDE, now)?;
        } else {
            let beside = stored_time(self.connection, BESIDE)?.filter(|beside| *beside <= now);
            if beside.is_none_or(|beside| now.since(beside) > BUSY_FOR) {
                return Ok(None);
            }
        }
        let until = now + (begun.elapsed() * TIMES).clamp(SHORTEST, LONGEST);
        self.store_time(AFTER, until)?;
        Ok(Some(until))
    }

    fn store_time(&self, name: &str, at: Timestamp) -> Answer<()> {
        let mut insert = self.prepare("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)")?;
        insert.execute(params![name, at.as_millis()])?;
        Ok(())
    }
}
