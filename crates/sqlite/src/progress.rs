//! What a running attempt wants kept: progress, checkpoint, log.

use bytes::Bytes;
use gristmill_core::{RecordRequest, Recorded, Timestamp};
use rusqlite::params;

use crate::error::Answer;
use crate::group::Group;
use crate::row;
use crate::run_key::run_key;

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
    group.sums.bytes += checkpoint.map_or(0, <[u8]>::len);
    if progress.is_some() || checkpoint.is_some() {
        group.prepare(include_str!("../sql/record.sql"))?.execute(params![seq, run, progress, checkpoint])?;
    }
    group.add_lines(seq, run, request)?;
    Ok(Recorded::Accepted)
}

impl Group<'_> {
    /// Adds to a run's log what it does not have; the oldest lines go.
    fn add_lines(&mut self, seq: i64, run: u32, request: &RecordRequest) -> Answer<()> {
        let Some((last, _)) = request.numbered().last() else { return Ok(()) };
        let newest = self
            .prepare("SELECT coalesce(max(line), 0) FROM logs WHERE seq = ?1 AND run = ?2")?
            .query_row(params![seq, run], |row| Ok(row::count32(row, 0)))?;
        let kept = RecordRequest::kept_lines(newest.max(last));
        let mut insert = self.prepare(
            "INSERT INTO logs (seq, run, line, at, text) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
        )?;
        for (number, line) in request.numbered().filter(|(number, _)| kept.contains(number)) {
            self.sums.bytes += line.text.len();
            insert.execute(params![seq, run, number, line.at.as_millis(), line.text])?;
        }
        self.prepare("DELETE FROM logs WHERE seq = ?1 AND run = ?2 AND line < ?3")?.execute(params![
            seq,
            run,
            kept.start()
        ])?;
        Ok(())
    }
}
