//! What becomes of a job whose runs have used up their numbers.
//!
//! A run's key holds its number in 22 bits, so after 4,194,303 runs there is none left. The job then moves to
//! a new seq, with its first and its newest runs numbered anew from 1. Claims that list it under the old seq
//! list a job that is gone, so no lease of an earlier run means a later one.

use gristmill_core::RunRecord;
use rusqlite::params;

use crate::claim::{Facts, Tally};
use crate::error::Answer;
use crate::group::Group;
use crate::run_key::{run_key, run_keys};

impl Group<'_> {
    /// Moves a job that is nowhere, and whose latest run has the last number, to where it may run again.
    pub(crate) fn renumber(&mut self, job: &Facts, tally: Tally) -> Answer<(Facts, Tally)> {
        let seq = self.next_seq()?;
        let (first, last) = run_keys(job.seq);
        self.prepare("DELETE FROM runs WHERE run_key > ?1 AND run_key <= ?2")?
            .execute([run_key(job.seq, RunRecord::FIRST_KEPT), last - i64::from(RunRecord::NEWEST_KEPT)])?;
        let mut select =
            self.prepare("SELECT run_key FROM runs WHERE run_key BETWEEN ?1 AND ?2 ORDER BY run_key")?;
        let keys =
            select.query_map([first, last], |row| row.get(0))?.collect::<rusqlite::Result<Vec<i64>>>()?;
        let mut latest = 0;
        for (key, run) in keys.into_iter().zip(1..) {
            self.prepare("UPDATE runs SET run_key = ?2 WHERE run_key = ?1")?
                .execute([key, run_key(seq, run)])?;
            for sql in [
                "UPDATE logs SET seq = ?3, run = ?4 WHERE seq = ?1 AND run = ?2",
                "UPDATE records SET seq = ?3, run = ?4 WHERE seq = ?1 AND run = ?2",
            ] {
                self.prepare(sql)?.execute(params![job.seq, key - first, seq, run])?;
            }
            latest = run;
        }
        self.prepare("UPDATE jobs SET seq = ?2, retried_run = ?3 WHERE seq = ?1")?
            .execute(params![job.seq, seq, latest])?;
        for sql in ["UPDATE events SET seq = ?2 WHERE seq = ?1", "UPDATE uniques SET seq = ?2 WHERE seq = ?1"]
        {
            self.prepare(sql)?.execute([job.seq, seq])?;
        }
        // A checkpoint between the first and the newest runs is later than those of the first.
        self.prepare(include_str!("../sql/move_checkpoint.sql"))?.execute(params![
            job.seq,
            seq,
            RunRecord::FIRST_KEPT.min(latest)
        ])?;
        for sql in ["DELETE FROM logs WHERE seq = ?1", "DELETE FROM records WHERE seq = ?1"] {
            self.prepare(sql)?.execute([job.seq])?;
        }
        // Under its old seq the job is gone, as one that was erased.
        self.sums.has_erased = true;
        self.note_erased(job.seq);
        self.memory.claims.forget();
        Ok((Facts { seq, ..job.clone() }, Tally { run: latest, ..tally }))
    }
}
