//! `doctor`: examines the store and prints the remedy.

use clap::Args;
use gristmill::backend::BackendErrorKind;
use gristmill::{Client, Diagnosis, ErrorKind, StatsRequest, Timestamp, unserved};

use crate::connect::Absent;
use crate::failure::{Failure, Result};
use crate::output::{Output, escape};
use crate::setup::Setup;
use crate::wire::DiagnosisShape;

/// Examine the store's settings, schema and health
///
/// Exit code 1 when something is to be done.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gristmill doctor\n  gristmill doctor --json")]
pub(crate) struct Doctor {
    /// Print one JSON object a finding, one a line
    #[arg(long)]
    json: bool,
}

/// Jobs are counted up to here.
const CAP: u64 = 1_000_000;

/// Whether live workers serve what waits.
async fn served(client: &Client, now: Timestamp) -> Result<Vec<Diagnosis>> {
    let stats = client.stats_with(StatsRequest::new(Some(CAP))).await?;
    let found = unserved(&stats, &client.workers().await?, now);
    if found.is_empty() {
        return Ok(vec![Diagnosis::fine("workers", "every job that is due has a live worker")]);
    }
    Ok(found.iter().map(|found| Diagnosis::trouble("workers", found.to_string(), found.remedy())).collect())
}

/// A failure as a finding.
fn trouble(check: &'static str, failure: &Failure) -> Diagnosis {
    Diagnosis::trouble(
        check,
        failure.to_string(),
        failure.remedy().unwrap_or("see `gristmill doctor --help`"),
    )
}

impl Doctor {
    pub(crate) async fn run(self, setup: &Setup) -> Result<()> {
        let client = match setup.connect(Absent::Read).await {
            Ok(client) => client,
            Err(failure) => {
                // What keeps it from looking any further is a finding, too.
                self.show(&[trouble("store", &failure)])?;
                return Err(failure);
            }
        };
        // An error is a finding, too: what else was found is shown all the same.
        let mut findings = match client.diagnose().await {
            Ok(findings) => findings,
            Err(error) => vec![trouble("diagnosis", &error.into())],
        };
        match client.ping().await {
            Ok(ping) => {
                let store = format!("{} at {}", ping.version, setup.url.shown());
                findings.insert(0, Diagnosis::fine("store", store));
                // Where something else is wrong, that may keep it from counting.
                match served(&client, ping.now).await {
                    Err(failure) if findings.iter().all(|finding| finding.ok) => {
                        findings.push(trouble("workers", &failure));
                    }
                    served => findings.extend(served.unwrap_or_default()),
                }
            }
            // A role that only produces: the findings say what it may not.
            Err(error) if error.kind() == ErrorKind::Backend(BackendErrorKind::ReadOnly) => {}
            // What is found says why, and the remedy.
            Err(_) if findings.iter().any(|finding| !finding.ok) => {}
            Err(error) => {
                let failure = Failure::from(error);
                findings.push(trouble("store", &failure));
                self.show(&findings)?;
                return Err(failure);
            }
        }
        self.show(&findings)?;
        match findings.iter().filter(|finding| !finding.ok).count() {
            0 => Ok(()),
            1 => Err(Failure::failed("1 finding needs care")),
            more => Err(Failure::failed(format!("{more} findings need care"))),
        }
    }

    fn show(&self, findings: &[Diagnosis]) -> Result<()> {
        let mut output = Output::stdout();
        for finding in findings {
            if self.json {
                output.json(&DiagnosisShape::from(finding));
            } else {
                let mark = if finding.ok { "ok     " } else { "TROUBLE" };
                output.line(format_args!("{mark}  {}: {}", escape(&finding.check), escape(&finding.finding)));
                if let Some(remedy) = &finding.remedy {
                    output.line(format_args!("         {}", escape(remedy)));
                }
            }
        }
        output.finish()
    }
}
