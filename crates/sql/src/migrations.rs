//! The migrations of a schema.

use gristmill_core::MigrationReport;

/// All versions of a backend's schema, the first one first.
///
/// ```
/// use gristmill_sql::{Migration, Migrations};
///
/// const MIGRATIONS: Migrations = Migrations(&[
///     Migration { version: 1, name: "0001_initial", statements: "CREATE TABLE jobs (id INTEGER)" },
///     Migration { version: 2, name: "0002_queues", statements: "CREATE TABLE queues (id INTEGER)" },
/// ]);
/// assert_eq!(MIGRATIONS.latest(), 2);
/// assert_eq!(MIGRATIONS.after(1).map(|step| step.name).collect::<Vec<_>>(), ["0002_queues"]);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Migrations(pub &'static [Migration]);

/// What makes one version of a schema out of the version before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    /// The version it makes; the first one is 1.
    pub version: u32,
    /// Its name, as reports show it: `0001_initial`.
    pub name: &'static str,
    /// Its statements, in the backend's dialect.
    pub statements: &'static str,
}

impl Migrations {
    /// The version this library brings; 0 where there is none.
    pub const fn latest(&self) -> u32 {
        match self.0.last() {
            Some(step) => step.version,
            None => 0,
        }
    }

    /// What a schema of this version lacks; 0 is no schema.
    pub fn after(&self, version: u32) -> impl Iterator<Item = &'static Migration> + use<> {
        self.0.iter().filter(move |step| step.version > version)
    }

    /// Where a schema of this version is, before anything is done. One of a later release lacks nothing.
    pub fn report(&self, version: u32) -> MigrationReport {
        let mut report = MigrationReport::default();
        report.from = version;
        report.current = version;
        report.latest = self.latest();
        report.steps = self.after(version).map(|step| step.name.to_owned()).collect();
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: Migrations = Migrations(&[
        Migration { version: 1, name: "0001_initial", statements: "" },
        Migration { version: 2, name: "0002_second", statements: "" },
    ]);

    #[test]
    fn a_report_names_what_is_missing() {
        assert_eq!(TWO.report(0).steps, ["0001_initial", "0002_second"]);
        assert_eq!(TWO.report(2).steps, [""; 0]);
        let report = TWO.report(1);
        assert_eq!((report.from, report.current, report.latest), (1, 1, 2));
        assert_eq!(report.steps, ["0002_second"]);
        let newer = TWO.report(3);
        assert_eq!((newer.current, newer.latest, newer.steps.len()), (3, 2, 0));
    }
}
