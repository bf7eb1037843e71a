//! The store itself: its schema and health.

use gristmill::{Diagnosis, MigrationReport};
use serde::Serialize;

/// `migrate status --json`: `{"current":1,"latest":1,"missing":[]}`.
#[derive(Debug, Serialize)]
pub(crate) struct MigrationShape<'a> {
    current: u32,
    latest: u32,
    missing: &'a [String],
}

impl<'a> From<&'a MigrationReport> for MigrationShape<'a> {
    fn from(report: &'a MigrationReport) -> Self {
        Self { current: report.current, latest: report.latest, missing: &report.steps }
    }
}

/// A line of `doctor --json`: `{"check":"schema","ok":true,"finding":"version 1","remedy":null}`.
#[derive(Debug, Serialize)]
pub(crate) struct DiagnosisShape<'a> {
    check: &'a str,
    ok: bool,
    finding: &'a str,
    remedy: Option<&'a str>,
}

impl<'a> From<&'a Diagnosis> for DiagnosisShape<'a> {
    fn from(diagnosis: &'a Diagnosis) -> Self {
        Self {
            check: &diagnosis.check,
            ok: diagnosis.ok,
            finding: &diagnosis.finding,
            remedy: diagnosis.remedy.as_deref(),
        }
    }
}

/// A line of `jobs retry|cancel|delete --json`: `{"id":"…","result":"done"}`; also `requested`,
/// `already_terminal`, `conflict`, `refused`, `not_found`, and `would` with `--dry-run`.
#[derive(Debug, Serialize)]
pub(crate) struct VerdictShape {
    pub(crate) id: gristmill::JobId,
    pub(crate) result: &'static str,
}
