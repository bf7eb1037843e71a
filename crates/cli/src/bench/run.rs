//! One run: an empty queue, a mode, a report.

use std::sync::Arc;

use gristmill::Client;

use super::children::LEASE;
use super::job::Bench;
use super::options::{Mode, Options};
use super::report::Report;
use super::server::Server;
use super::{drain, enqueue, kill, latency, store, sustain};
use crate::connect::{Absent, Url};
use crate::failure::{Failure, Result};
use crate::output::Output;

/// Measures and prints; a run that loses or doubles a job fails.
pub(crate) async fn run(url: &Url, options: &Options, json: bool) -> Result<()> {
    if options.kill_workers.is_some() && options.mode != Mode::Drain {
        return Err(Failure::usage("--kill-workers goes with --mode drain only"));
    }
    if options.apart && options.mode != Mode::Latency {
        return Err(Failure::usage("--apart goes with --mode latency only"));
    }
    let shared = url.for_lease(LEASE);
    let url = if options.kill_workers.is_some() { &shared } else { url };
    let (client, server) = open(url, options).await?;
    store::refuse_leftovers(&client).await?;
    let stamped = matches!(options.mode, Mode::Latency | Mode::Sustain);
    let bench = Bench::new(options, stamped);
    let mut jobs = u64::from(options.jobs());
    let figures = match (options.mode, options.kill_workers) {
        (Mode::Drain, Some(every)) => {
            let url = shared_by_processes(url, "--kill-workers")?;
            kill::run(&client, &server, (&url, every), options).await?
        }
        (Mode::Drain, None) => drain::run(&client, &server, &bench, options).await?,
        (Mode::Enqueue, _) => enqueue::run(&client, &server, &bench, options).await?,
        (Mode::Latency, _) => {
            let producer = if options.apart {
                shared_by_processes(url, "--apart")?;
                open(url, options).await?.0
            } else {
                client.clone()
            };
            latency::run(&client, &producer, &server, &bench, options).await?
        }
        (Mode::Sustain, _) => {
            let (enqueued, figures) = sustain::run(&client, &server, &bench, options).await?;
            jobs = enqueued;
            figures
        }
    };
    let report = Report::new(options, client.backend().name(), client.ping().await?, jobs, figures);
    let mut output = Output::stdout();
    if json {
        output.json(&report);
    } else {
        report.show(&mut output);
    }
    output.finish()?;
    if report.is_complete() { Ok(()) } else { Err(Failure::failed("the run lost or doubled jobs")) }
}

fn shared_by_processes(url: &Url, option: &str) -> Result<String> {
    url.shared().ok_or_else(|| {
        Failure::usage(format!("{option} needs a store that several processes share"))
            .hint("use --db postgres://USER@HOST/DATABASE or --db sqlite:PATH")
    })
}

async fn open(url: &Url, options: &Options) -> Result<(Client, Server)> {
    let Some(postgres) = url.open_server(Absent::Create).await? else {
        if options.hold_snapshot {
            return Err(Failure::usage("--hold-snapshot needs a store on a server")
                .hint("use --db postgres://USER@HOST/DATABASE"));
        }
        return Ok((Client::new(url.open(Absent::Create).await?), Server::default()));
    };
    let client = Client::new(Arc::new(postgres.clone()));
    Ok((client, Server::new(Some(postgres), options.hold_snapshot)))
}

/// The options of a command line without flags.
#[cfg(test)]
pub(super) fn defaults() -> Options {
    use clap::{Args as _, FromArgMatches as _};
    let command = Options::augment_args(clap::Command::new("bench"));
    Options::from_arg_matches(&command.get_matches_from(["bench"])).expect("every option has a default")
}
