//! What is kept of the runs of a job that keeps coming back.

use std::collections::HashSet;

use gristmill_core::RunRecord;

use crate::claim::members;
use crate::group::Group;
use crate::row;
use crate::run_key::run_key;

impl Group<'_> {
    /// Deletes the old runs of jobs that have run often, with their logs; once a group, since it reads every
    /// claim. A run that a claim lists stays: without its row it would count as open.
    pub(crate) fn trim_runs(&mut self) -> rusqlite::Result<()> {
        let trimmed = std::mem::take(&mut self.sums.trimmed);
        if trimmed.is_empty() {
            return Ok(());
        }
        let listed = self.listed(|seq| trimmed.contains_key(&seq))?;
        for (seq, latest) in trimmed {
            let Some(runs) = RunRecord::trimmed_at(latest) else { continue };
            let (first, last) = (run_key(seq, *runs.start()), run_key(seq, *runs.end()));
            let keys = self
                .prepare("SELECT run_key FROM runs WHERE run_key BETWEEN ?1 AND ?2")?
                .query_map([first, last], |row| row.get(0))?
                .collect::<rusqlite::Result<Vec<i64>>>()?;
            for key in keys.into_iter().filter(|key| !listed.contains(key)) {
                self.prepare("DELETE FROM runs WHERE run_key = ?1")?.execute([key])?;
                self.prepare("DELETE FROM logs WHERE seq = ?1 AND run = ?2")?
                    .execute([seq, key - run_key(seq, 0)])?;
            }
            self.prepare(include_str!("../sql/trim_records.sql"))?.execute([
                seq,
                i64::from(*runs.start()),
                i64::from(*runs.end()),
            ])?;
        }
        Ok(())
    }

    /// The keys of the runs that claims list, of some jobs.
    fn listed(&self, is_wanted: impl Fn(i64) -> bool) -> rusqlite::Result<HashSet<i64>> {
        let mut select = self.prepare("SELECT members FROM claims")?;
        let mut rows = select.query([])?;
        let mut listed = HashSet::new();
        while let Some(row) = rows.next()? {
            let wanted = members(row::blob(row, 0)).filter(|(seq, _)| is_wanted(*seq));
            listed.extend(wanted.map(|(seq, tally)| run_key(seq, tally.run)));
        }
        Ok(listed)
    }
}
