//! Drain: one thread. Each transaction finishes the batch before and leases the next; the handlers run between
//! two transactions.

use anyhow::{Result, ensure};
use rusqlite::Connection;

use super::file::File;
use super::store::{Claim, Insert, begin, finish_and_fetch};
use crate::account::Account;
use crate::args::Args;
use crate::job::NewJob;
use crate::report::{Figures, Outcome};
use crate::usage::Stopwatch;

/// Enqueues all jobs in bulk, then runs them until none is left.
pub(super) fn run(args: &Args) -> Result<Outcome> {
    let file = File::create(args)?;
    let mut connection = file.connect()?;
    let account = Account::new(args.jobs());
    let enqueue = Stopwatch::start()?;
    enqueue_all(&mut connection, args)?;
    let enqueue = enqueue.stop()?;

    let drain = Stopwatch::start()?;
    let mut claim = finish_and_fetch(&mut connection, &Claim::default(), args.batch)?;
    while !claim.is_empty() {
        claim.run(|number| account.saw(number))?;
        claim = finish_and_fetch(&mut connection, &claim, args.batch)?;
    }
    let drain = drain.stop()?;

    let kept: u32 = connection.query_row("SELECT count(*) FROM runs", [], |row| row.get(0))?;
    ensure!(kept == args.jobs(), "history holds {kept} of {} jobs", args.jobs());
    let figures = Figures {
        enqueue_per_s: Some(enqueue.jobs_per_second(args.jobs())),
        drain_per_s: Some(drain.jobs_per_second(args.jobs())),
        client_cpu_us_per_job: Some(drain.cpu_us_per_job(args.jobs())),
        ..Figures::default()
    };
    Ok(Outcome { variant: "narrow ready, appended runs", settings: file.settings(args), figures, account })
}

/// Stores the jobs of the command line, `--batch` a transaction.
pub(super) fn enqueue_all(connection: &mut Connection, args: &Args) -> Result<()> {
    for first in (0..args.jobs()).step_by(args.batch as usize) {
        let tx = begin(connection)?;
        let mut insert = Insert::new(&tx)?;
        for number in first..first.saturating_add(args.batch).min(args.jobs()) {
            insert.insert(&NewJob::new(number, args.args_bytes)?)?;
        }
        drop(insert);
        tx.commit()?;
    }
    Ok(())
}
