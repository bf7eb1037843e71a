//! `jobs show`: everything that is known of one job.

use clap::Args;
use gristmill::{Client, JobId, JobRecord, LogLine, format_duration};

use crate::failure::{Failure, Result};
use crate::output::{Output, Table, escape, escape_json};
use crate::wire::{EventShape, JobShape, RunShape};

/// The newest log lines that are shown of a run.
const LOG_LINES: usize = 20;

/// Show a job: its args, its runs, its log
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gristmill jobs show 019a9b3e-7c00-7000-8000-000000000000")]
pub(super) struct Show {
    /// Which
    id: JobId,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) async fn run(self, client: &Client) -> Result<()> {
        let Some(job) = client.job(self.id).await? else {
            return Err(Failure::not_found(format!("there is no job {}", self.id)).hint(
                "jobs disappear when their retention has passed; `gristmill jobs list` shows what is there",
            ));
        };
        let mut output = Output::stdout();
        let runs = client.runs(self.id).await?;
        let events = client.events(self.id).await?;
        if self.json {
            output.json(&JobShape::from(&job).with_history(&runs, &events));
            return output.finish();
        }
        facts(&job, &mut output);
        if !runs.is_empty() {
            let mut table = Table::new(RunShape::HEADINGS).right([0, 1]);
            for run in &runs {
                table.row(RunShape(run).cells());
            }
            output.line(format_args!("\n{table}"));
        }
        for run in runs.iter().filter(|run| !run.log.is_empty()) {
            log(&run.log, run.run, &mut output);
        }
        if !events.is_empty() {
            output.line("\nevents");
        }
        for event in &events {
            output.line(format_args!("  {}", escape(&EventShape(event).text())));
        }
        output.finish()
    }
}

fn facts(job: &JobRecord, output: &mut Output) {
    let spec = &job.spec;
    let mut fact = |name: &str, value: &str| output.line(format_args!("{name:<12}  {}", escape(value)));
    fact("id", &job.id.to_string());
    fact("kind", spec.kind.as_str());
    fact("queue", spec.queue.as_str());
    let asked = if job.cancel_requested { " (cancel requested)" } else { "" };
    fact("state", &format!("{}{asked}", job.state));
    if let Some(what) = &job.undecodable {
        fact("undecodable", what);
    }
    if let Some(reason) = &job.reason {
        fact("reason", reason);
    }
    fact("attempt", &format!("{} of {}", job.attempt, spec.max_attempts));
    fact("priority", &spec.priority.to_string());
    fact("created at", &job.created_at.to_string());
    fact("run at", &job.run_at.to_string());
    if let Some(at) = job.finished_at {
        fact("finished at", &at.to_string());
    }
    if let Some(timeout) = spec.timeout {
        fact("timeout", &format_duration(timeout));
    }
    if let Some(key) = &spec.unique_key {
        fact("unique key", key.as_str());
    }
    if !spec.tags.is_empty() {
        fact("tags", &spec.tags.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    }
    if let Some(progress) = job.progress {
        fact("progress", &format!("{progress} %"));
    }
    let mut json = |name: &str, bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        output.line(format_args!("{name:<12}  {}", escape_json(&text)));
    };
    if !spec.metadata.is_empty() {
        json("metadata", spec.metadata.to_json().as_bytes());
    }
    match spec.args.encoding().codec() {
        None => json("args", spec.args.as_bytes()),
        Some(codec) => {
            let bytes = spec.args.as_bytes().len();
            json("args", format!("{bytes} bytes, written by the codec {codec}").as_bytes());
        }
    }
    if let Some(returned) = &job.output {
        json("output", returned.as_bytes());
    }
}

fn log(lines: &[LogLine], run: u32, output: &mut Output) {
    let newest = &lines[lines.len().saturating_sub(LOG_LINES)..];
    let cut =
        if newest.len() < lines.len() { format!(", the last {LOG_LINES} lines") } else { String::new() };
    output.line(format_args!("\nlog of run {run}{cut}"));
    for line in newest {
        output.line(format_args!("  {} {}", line.at, escape(&line.text)));
    }
}
