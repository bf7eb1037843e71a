//! Drain: one thread. Each transaction finishes the batch before and leases the next; the handlers run
//! between two transactions.

use anyhow::{Result, ensure};
use rusqlite::Connection;

use super::file::File;
use super::store::{Claim, Insert, begin, finish_and_fetch};
use crate::account::Account;
use crate::job::NewJob;
use crate::options::Options;
use crate::report::{Figures, Outcome};
use crate::usage::Stopwatch;

/// Enqueues all jobs in bulk, then runs them until none is left.
pub(super) fn run(options: &Options) -> Result<Outcome> {
    let file = File::create(options)?;
    let mut connection = file.connect()?;
    let account = Account::new(options.jobs());
    let enqueue = Stopwatch::start()?;
    enqueue_all(&mut connection, options)?;
    let enqueue = enqueue.stop()?;

    let drain = Stopwatch::start()?;
    let mut claim = finish_and_fetch(&mut connection, &Claim::default(), options.batch)?;
    while !claim.is_empty() {
        claim.run(|number| account.saw(number))?;
        claim = finish_and_fetch(&mut connection, &claim, options.batch)?;
    }
    let drain = drain.stop()?;

    let kept: u32 = connection.query_row("SELECT count(*) FROM runs", [], |row| row.get(0))?;
    ensure!(kept == options.jobs(), "history holds {kept} of {} jobs", options.jobs());
    let figures = Figures {
        enqueue_per_s: Some(enqueue.jobs_per_second(options.jobs())),
        drain_per_s: Some(drain.jobs_per_second(options.jobs())),
        client_cpu_us_per_job: Some(drain.cpu_us_per_job(options.jobs())),
        ..Figures::default()
    };
    Ok(Outcome { variant: "narrow ready, appended runs", settings: file.settings(options), figures, account })
}

/// Stores the jobs of the command line, `--batch` a transaction.
pub(super) fn enqueue_all(connection: &mut Connection, options: &Options) -> Result<()> {
    for first in (0..options.jobs()).step_by(options.batch as usize) {
        let tx = begin(connection)?;
        let mut insert = Insert::new(&tx)?;
        for number in first..first.saturating_add(options.batch).min(options.jobs()) {
            insert.insert(&NewJob::new(number, options.args_bytes)?)?;
        }
        drop(insert);
        tx.commit()?;
    }
    Ok(())
}
