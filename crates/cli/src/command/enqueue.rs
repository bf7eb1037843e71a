//! `enqueue`: one job, or a stream of them.

mod options;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use gristmill::{Client, Memory};

use crate::connect::{Absent, Url};
use crate::failure::{Failure, Result};
use crate::intake::{self, Broken, Checked, Defaults, Sent, Source};
use crate::output::{Output, escape, say};
use crate::progress::Progress;
use crate::setup::Setup;
use crate::stop::Stop;
use crate::wire::{LineError, LineResult};
use options::Options;

/// Enqueue one job, or a stream of them
///
/// Prints ids. A stream is NDJSON, one job a line. Of its members only `kind` is needed, and not even that
/// where KIND is given; flags are the defaults of the lines. Unless --skip-invalid is given nothing is
/// enqueued when a line is invalid: the stream is checked first, and kept in a temporary file (TMPDIR)
/// meanwhile if it is a pipe.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Enqueue {
    /// Selects the handler
    #[arg(required_unless_present = "file")]
    kind: Option<String>,
    /// The job's args [default: {}]
    #[arg(value_name = "JSON", conflicts_with = "file")]
    args: Option<String>,
    /// Enqueue every line of a file, or of the standard input for `-`
    #[arg(long, value_name = "F.ndjson|-")]
    file: Option<PathBuf>,
    /// Leave invalid lines out; without it nothing is enqueued if one is invalid
    #[arg(long, requires = "file")]
    skip_invalid: bool,
    /// Check every job and enqueue none
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    options: Options,
    /// Print one JSON object a job: {"line":1,"result":"created","id":"…"}
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
A line with every member; `delay` and `run_at` exclude each other:
  {\"kind\":\"checksum\",\"args\":{\"path\":\"a.txt\"},\"queue\":\"default\",\"priority\":0,\"delay\":\"5s\",
   \"run_at\":\"2026-11-22T10:00:00Z\",\"max_attempts\":20,\"timeout\":\"30s\",\"unique_key\":\"a\",
   \"tags\":[\"nightly\"],\"metadata\":{\"tenant\":\"acme\"}}

Examples:
  gristmill enqueue checksum '{\"path\":\"a.txt\"}'
  gristmill enqueue report --queue slow --delay 1h --unique-key daily
  find . -type f | jq -Rc '{args: {path: .}}' | gristmill enqueue checksum --file -";

impl Enqueue {
    pub(crate) async fn run(mut self, setup: &Setup) -> Result<()> {
        let file = self.file.take();
        let defaults = Defaults { kind: self.kind.take(), options: self.options.job_options()? };
        // Checks need no store: none is opened or made for what is not valid.
        let checker = Client::new(Arc::new(Memory::new()));
        match file {
            None => self.one(setup, &checker, defaults).await,
            Some(path) => self.stream(setup, &checker, defaults, Source::from(path)).await,
        }
    }

    async fn one(self, setup: &Setup, checker: &Client, defaults: Defaults) -> Result<()> {
        let kind = defaults.kind.unwrap_or_default();
        let args = self.args.unwrap_or_else(|| "{}".to_owned());
        let mut job = checker.prepare_raw(&kind, args, defaults.options)?;
        if self.dry_run {
            say("the job is valid");
            return Ok(());
        }
        let client = connect(setup).await?;
        let id = client.mint_id();
        job.id = id;
        let receipts = client.enqueue_prepared(vec![job]).await.map_err(|partly| {
            let maybe = format!("the job may be stored all the same; `gristmill jobs show {id}` shows it");
            Failure::from(partly.error).maybe(maybe)
        })?;
        let receipt = receipts.first().ok_or_else(|| Failure::failed("the store did not answer"))?;
        let result = match &receipt.enqueued {
            gristmill::Enqueued::Refused { why } => return Err(Failure::refused(why.clone())),
            gristmill::Enqueued::Existing { .. } => "existing",
            gristmill::Enqueued::Replaced { .. } => "replaced",
            gristmill::Enqueued::Created => "created",
        };
        let mut output = Output::stdout();
        show(&LineResult { line: 1, result, id: Some(receipt.id), error: None }, self.json, &mut output);
        output.finish()
    }

    async fn stream(self, setup: &Setup, checker: &Client, defaults: Defaults, source: Source) -> Result<()> {
        defaults.check(checker)?;
        let stop = Stop::listen()?;
        let mut output = Output::stdout();
        let stopped = || Failure::failed("stopped; nothing was enqueued");
        let (input, total) = if self.skip_invalid && !self.dry_run {
            (source.open()?, None)
        } else {
            let checked = tokio::select! {
                checked = check(source, checker, &defaults) => checked?,
                () = stop.gently.cancelled() => return Err(stopped()),
            };
            if checked.invalid > 0 || self.dry_run {
                return report(&checked, self.dry_run, self.json, output);
            }
            let total = checked.valid;
            (checked.reopen()?, Some(total))
        };
        let client = tokio::select! {
            client = connect(setup) => client?,
            () = stop.gently.cancelled() => return Err(stopped()),
        };
        let mut progress = Progress::new("enqueued", total);
        let json = self.json;
        let sent = intake::send(input, &client, defaults, &stop, |result| {
            if let Some(error) = result.error {
                say_invalid(result.line, error);
            }
            show(result, json, &mut output);
            progress.add(1);
        })
        .await;
        drop(progress);
        let finished = output.finish();
        match sent {
            Ok(sent) => {
                say_sent(&sent);
                finished?;
                if sent.invalid > 0 && !self.skip_invalid {
                    let message = format!("the store refused {} jobs; the others are stored", sent.invalid);
                    return Err(Failure::failed(message));
                }
                Ok(())
            }
            Err(broken) => Err(unsent(broken, total)),
        }
    }
}

async fn connect(setup: &Setup) -> Result<Client> {
    let client = setup.connect(Absent::Create).await?;
    if setup.url == Url::Memory {
        say("`memory:` ends with this process, and what is enqueued with it");
    }
    Ok(client)
}

fn say_sent(sent: &Sent) {
    let existing =
        if sent.existing > 0 { format!(", {} were there already", sent.existing) } else { String::new() };
    let invalid =
        if sent.invalid > 0 { format!(", {} lines are invalid", sent.invalid) } else { String::new() };
    say(format_args!("enqueued {} jobs{existing}{invalid}", sent.created));
}

/// Reports of a stream that broke how many of its jobs are stored, how many may be, and how many are not.
fn unsent(broken: Broken, total: Option<u64>) -> Failure {
    let Broken { sent, why } = broken;
    let stored = sent.created + sent.existing;
    let known = stored + sent.maybe + sent.invalid;
    let not_stored = match total {
        Some(total) => format!("{} are not", total.saturating_sub(known)),
        None => "those that follow in the stream are not".to_owned(),
    };
    let counts = format!("{stored} jobs are stored, {} may be, {not_stored}", sent.maybe);
    let again = if sent.maybe > 0 {
        "; before you send lines again that may be stored, look at `gristmill stats`, or give each a unique_key"
    } else if stored > 0 {
        "; the printed ids are those of the first lines, send those behind them again"
    } else {
        ""
    };
    let hint = match why.remedy() {
        Some(remedy) => format!("{counts}{again}; {remedy}"),
        None => format!("{counts}{again}"),
    };
    why.hint(hint)
}

async fn check(source: Source, client: &Client, defaults: &Defaults) -> Result<Checked> {
    let (client, defaults) = (client.clone(), defaults.clone());
    let checking = tokio::task::spawn_blocking(move || intake::check(&source, &client, &defaults));
    checking.await.map_err(|error| Failure::failed(format!("the check of the stream ended: {error}")))?
}

/// Tells a stream that is not enqueued.
fn report(checked: &Checked, dry_run: bool, json: bool, mut output: Output) -> Result<()> {
    for (line, LineError(error)) in &checked.told {
        say_invalid(*line, error);
        if json {
            output.json(&LineResult { line: *line, result: "invalid", id: None, error: Some(error) });
        }
    }
    output.finish()?;
    let untold = checked.invalid - checked.told.len() as u64;
    if untold > 0 {
        say(format_args!("… and {untold} more"));
    }
    if checked.invalid == 0 {
        say(format_args!("{} jobs are valid", checked.valid));
        return Ok(());
    }
    let (bad, all) = (checked.invalid, checked.invalid + checked.valid);
    let what = if dry_run { "" } else { "; nothing was enqueued" };
    Err(Failure::failed(format!("{bad} of {all} lines are invalid{what}"))
        .hint("correct them, or enqueue the others with --skip-invalid"))
}

fn say_invalid(line: u64, error: &str) {
    say(format_args!("line {line}: {}", escape(error)));
}

fn show(result: &LineResult<'_>, json: bool, output: &mut Output) {
    if json {
        output.json(result);
    } else if let Some(id) = result.id {
        output.line(id);
    }
}
