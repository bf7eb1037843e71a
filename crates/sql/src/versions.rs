//! Which programs may use a schema, and which requests its outbox accepts.
//!
//! ```text
//!   compatible_from          mine                 version
//!   ──────┼───────────────────┼──────────────────────┼──────▶ numbers of migrations
//!         the oldest program  this program's latest  the latest one applied
//! ```

use std::ops::RangeInclusive;

use gristmill_core::{BackendError, BackendErrorKind};

/// The number of PostgreSQL's latest migration. The backend does not compile if its migrations end elsewhere.
pub const POSTGRES_SCHEMA: u32 = 5;
/// The number of SQLite's latest migration. The backend does not compile if its migrations end elsewhere.
pub const SQLITE_SCHEMA: u32 = 6;

/// The schema version of the oldest program that may run beside PostgreSQL's latest schema. Raise it only
/// with a migration that older programs cannot work with: they stop when it is applied.
pub const POSTGRES_COMPATIBLE_FROM: u32 = 4;
/// The schema version of the oldest program that may run beside SQLite's latest schema.
pub const SQLITE_COMPATIBLE_FROM: u32 = 4;

/// The outbox protocols that the latest schema accepts. Raise the end with a new form of a request or an
/// answer, the start when a form is dropped.
pub const OUTBOX_PROTOCOLS: RangeInclusive<u32> = 2..=2;

/// What a stored schema says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchemaVersion {
    /// Number of the latest migration that was applied.
    pub version: u32,
    /// Version of the oldest program that may use it.
    pub compatible_from: u32,
}

impl SchemaVersion {
    /// Whether a program whose latest migration is `mine` may use this schema: `compatible_from <= mine <=
    /// version`. `shown` names the schema in the message, such as ``the schema `gristmill` ``.
    ///
    /// ```
    /// use gristmill_sql::SchemaVersion;
    ///
    /// let schema = SchemaVersion { version: 7, compatible_from: 5 };
    /// assert!(schema.check("the schema", 4).is_err()); // too old
    /// assert!(schema.check("the schema", 6).is_ok()); // older than the schema, and compatible
    /// assert!(schema.check("the schema", 8).is_err()); // not migrated yet
    /// ```
    ///
    /// # Errors
    /// [`SchemaOld`](BackendErrorKind::SchemaOld) if the schema is not migrated yet, and
    /// [`SchemaNew`](BackendErrorKind::SchemaNew) if the program is too old. Both name both versions and the
    /// remedy.
    pub fn check(self, shown: &str, mine: u32) -> Result<(), BackendError> {
        let Self { version, compatible_from } = self;
        if mine > version {
            let message = format!("{shown} has version {version}, this program needs version {mine}");
            return Err(
                BackendError::new(BackendErrorKind::SchemaOld, message).with_hint("run `gristmill migrate`")
            );
        }
        if mine < compatible_from {
            let message = format!(
                "{shown} has version {version} and serves programs from version {compatible_from} on, \
                this program has version {mine}"
            );
            return Err(BackendError::new(BackendErrorKind::SchemaNew, message)
                .with_hint("upgrade this program to the release that migrated the schema, or a later one"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(version: u32, compatible_from: u32, mine: u32) -> Option<BackendErrorKind> {
        let checked = SchemaVersion { version, compatible_from }.check("the schema", mine);
        checked.err().map(|error| error.kind())
    }

    /// `version`, `compatible_from` and `mine`, and how the program is refused.
    const CASES: [((u32, u32, u32), Option<BackendErrorKind>); 11] = [
        ((7, 5, 3), Some(BackendErrorKind::SchemaNew)),
        ((7, 5, 4), Some(BackendErrorKind::SchemaNew)),
        ((7, 5, 5), None),
        ((7, 5, 6), None),
        ((8, 5, 7), None),
        ((7, 5, 7), None),
        ((7, 5, 8), Some(BackendErrorKind::SchemaOld)),
        ((7, 7, 7), None),
        ((7, 7, 6), Some(BackendErrorKind::SchemaNew)),
        ((1, 1, 3), Some(BackendErrorKind::SchemaOld)),
        ((0, 0, 1), Some(BackendErrorKind::SchemaOld)),
    ];

    /// The cases that a check decides wrongly.
    fn wrong(check: impl Fn(u32, u32, u32) -> Option<BackendErrorKind>) -> Vec<(u32, u32, u32)> {
        let wrong =
            CASES.iter().filter(|((version, from, mine), refused)| check(*version, *from, *mine) != *refused);
        wrong.map(|(numbers, _)| *numbers).collect()
    }

    #[test]
    fn a_program_runs_from_the_oldest_compatible_version_up_to_the_latest() {
        assert_eq!(wrong(refusal), []);
    }

    /// Seeded defects: each is a check that was written or is easily written, and the cases must catch it.
    #[test]
    fn the_cases_catch_checks_that_compare_for_equality_or_for_one_bound_only() {
        use BackendErrorKind::{SchemaNew, SchemaOld};
        let of_equality = wrong(|version, _, mine| match mine.cmp(&version) {
            std::cmp::Ordering::Less => Some(SchemaNew),
            std::cmp::Ordering::Equal => None,
            std::cmp::Ordering::Greater => Some(SchemaOld),
        });
        assert_eq!(of_equality, [(7, 5, 5), (7, 5, 6), (8, 5, 7)]);
        let of_latest = wrong(|version, _, mine| (mine > version).then_some(SchemaOld));
        assert_eq!(of_latest, [(7, 5, 3), (7, 5, 4), (7, 7, 6)]);
        let of_oldest = wrong(|_, from, mine| (mine < from).then_some(SchemaNew));
        assert_eq!(of_oldest, [(7, 5, 8), (1, 1, 3), (0, 0, 1)]);
    }

    #[test]
    fn a_refusal_names_both_versions_and_the_remedy() {
        let schema = SchemaVersion { version: 9, compatible_from: 6 };
        let old = schema.check("the schema `jobs`", 12).expect_err("it is not migrated");
        assert_eq!(old.message(), "the schema `jobs` has version 9, this program needs version 12");
        assert_eq!(old.hint(), Some("run `gristmill migrate`"));
        let new = schema.check("the schema `jobs`", 5).expect_err("the program is too old");
        let wanted = "the schema `jobs` has version 9 and serves programs from version 6 on, \
            this program has version 5";
        assert_eq!(new.message(), wanted);
        assert!(new.hint().is_some_and(|hint| hint.contains("upgrade this program")), "{new:?}");
    }

    #[test]
    fn the_latest_schemas_serve_the_programs_that_bring_them() {
        assert_eq!(refusal(POSTGRES_SCHEMA, POSTGRES_COMPATIBLE_FROM, POSTGRES_SCHEMA), None);
        assert_eq!(refusal(SQLITE_SCHEMA, SQLITE_COMPATIBLE_FROM, SQLITE_SCHEMA), None);
        assert!(!OUTBOX_PROTOCOLS.is_empty());
    }
}
