//! What a running attempt wants kept: progress, checkpoint, log.

use bytes::Bytes;
use gristmill_core::{LogLine, RecordRequest, Recorded, Timestamp};
use rusqlite::params;

use crate::error::Answer;
use crate::group::Group;
use crate::row;
use crate::run::run_key;

pub(crate) fn record(group: &mut Group<'_>, request: &RecordRequest, _: Timestamp) -> Answer<Recorded> {
    let Some(held) = group.held(&request.lease)? else { return Ok(Recorded::LeaseLost) };
    let Some(place) = group.place_of(&held, &request.lease)? else { return Ok(Recorded::LeaseLost) };
    let (seq, run) = (held.claim.members[place].seq, request.lease.run);
    let is_open: bool = group
        .prepare(include_str!("../sql/run_is_open.sql"))?
        .query_row([seq, run_key(seq, run)], |row| row.get(0))?;
    if !is_open {
        return Ok(Recorded::LeaseLost);
    }
    let fits = |bytes: &&Bytes| bytes.len() <= RecordRequest::MAX_CHECKPOINT_BYTES;
    let checkpoint = request.checkpoint.as_ref().filter(fits).map(Bytes::as_ref);
    let progress = request.progress.map(|percent| percent.min(100));
    if progress.is_some() || checkpoint.is_some() {
        group.prepare(include_str!("../sql/record.sql"))?.execute(params![seq, run, progress, checkpoint])?;
    }
    group.add_lines(seq, run, &request.log)?;
    Ok(Recorded::Accepted)
}

impl Group<'_> {
    /// Adds to a run's log; the oldest lines go.
    fn add_lines(&mut self, seq: i64, run: u32, lines: &[LogLine]) -> Answer<()> {
        let kept = &lines[lines.len().saturating_sub(RecordRequest::MAX_LOG_LINES)..];
        if kept.is_empty() {
            return Ok(());
        }
        let latest: i64 = self
            .prepare("SELECT coalesce(max(line), 0) FROM logs WHERE seq = ?1 AND run = ?2")?
            .query_row(params![seq, run], |row| row.get(0))?;
        let mut insert =
            self.prepare("INSERT INTO logs (seq, run, line, at, text) VALUES (?1, ?2, ?3, ?4, ?5)")?;
        for (number, line) in (latest + 1..).zip(kept) {
            insert.execute(params![seq, run, number, line.at.as_millis(), line.text])?;
        }
        let first_kept = latest + row::size(kept.len()) - row::size(RecordRequest::MAX_LOG_LINES) + 1;
        self.prepare("DELETE FROM logs WHERE seq = ?1 AND run = ?2 AND line < ?3")?
            .execute(params![seq, run, first_kept])?;
        Ok(())
    }
}
