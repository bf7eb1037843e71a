//! `sqlite:PATH`: a database file, and how to open it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gristmill::{MigrateMode, Sqlite, SqliteBuilder, Synchronous, did_you_mean, parse_duration};

use super::Absent;
use crate::failure::{Code, Failure, Result};

/// A database file, and how to open it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    pub(super) path: PathBuf,
    pub(super) synchronous: Option<Synchronous>,
    pub(super) busy_timeout: Option<Duration>,
    /// Whether it may hold tables of another program.
    pub(super) share: bool,
}

impl File {
    pub(super) fn open(&self, absent: Absent) -> Result<Sqlite> {
        if matches!(absent, Absent::Refuse | Absent::Read) && !self.path.exists() {
            let message = format!("there is no store at {}", self.path.display());
            return Err(Failure::new(Code::Unreachable, message)
                .hint("name another with --db or GRISTMILL_DB, or make one with `gristmill migrate`"));
        }
        let mut builder = Sqlite::builder(&self.path).share(self.share).read_only(absent == Absent::Read);
        if let Some(synchronous) = self.synchronous {
            builder = builder.synchronous(synchronous);
        }
        if let Some(busy_timeout) = self.busy_timeout {
            builder = builder.busy_timeout(busy_timeout);
        }
        let migrate = if absent == Absent::Create { MigrateMode::Up } else { MigrateMode::Status };
        builder.migrate(migrate).open().map_err(|error| Failure::from(error).about(self.path.display()))
    }

    /// The same file with a busy timeout for leases of this length.
    pub(super) fn for_lease(&self, lease: Duration) -> Self {
        let busy_timeout = self.busy_timeout.unwrap_or(SqliteBuilder::DEFAULT_BUSY_TIMEOUT.min(lease / 2));
        Self { busy_timeout: Some(busy_timeout), ..self.clone() }
    }

    /// The URL of the file.
    #[cfg(feature = "bench")]
    pub(super) fn url(&self) -> String {
        use std::fmt::Write as _;

        let mut url = format!("sqlite:{}?", self.path.display());
        if let Some(synchronous) = self.synchronous {
            // Writing to a `String` cannot fail.
            let _ = write!(url, "synchronous={}&", synchronous.as_str().to_lowercase());
        }
        if let Some(timeout) = self.busy_timeout {
            let _ = write!(url, "busy_timeout={}&", gristmill::format_duration(timeout));
        }
        if self.share {
            url.push_str("share=true");
        }
        url
    }

    fn option(&mut self, name: &str, value: &str) -> Result<()> {
        match name {
            "synchronous" => {
                self.synchronous = Some(match value {
                    "off" | "OFF" => Synchronous::Off,
                    "normal" | "NORMAL" => Synchronous::Normal,
                    "full" | "FULL" => Synchronous::Full,
                    other => {
                        let message = format!("`synchronous={}` is not known", other.escape_debug());
                        return Err(Failure::usage(message).hint("use off, normal or full"));
                    }
                });
            }
            "busy_timeout" => {
                let timeout = parse_duration(value)
                    .map_err(|error| Failure::usage(format!("busy_timeout: {error}")))?;
                self.busy_timeout = Some(timeout);
            }
            "share" => {
                self.share = value.parse().map_err(|_| {
                    let message = format!("`share={}` is not known", value.escape_debug());
                    Failure::usage(message)
                        .hint("use true, where the file has tables of your own program, or false")
                })?;
            }
            other => {
                let failure =
                    Failure::usage(format!("unknown option `{}` of `sqlite:`", other.escape_debug()));
                return Err(match did_you_mean(other, ["synchronous", "busy_timeout", "share"]) {
                    Some(known) => failure.hint(format!("did you mean `{known}`?")),
                    None => failure.hint("it knows `synchronous`, `busy_timeout` and `share`"),
                });
            }
        }
        Ok(())
    }
}

/// Reads what stands behind `sqlite:`; a relative path lies below `base`.
pub(super) fn parse(rest: &str, base: Option<&Path>) -> Result<File> {
    let (path, options) = rest.rsplit_once('?').unwrap_or((rest, ""));
    // `///` begins an absolute path.
    if rest.strip_prefix("//").is_some_and(|place| !place.starts_with('/') && place.contains('@')) {
        return Err(Failure::usage("`sqlite:` names a file, not a server")
            .hint("write `sqlite:PATH`, or `postgres://user@host/database` for a server"));
    }
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() {
        return Err(Failure::usage("`sqlite:` names no file").hint("write `sqlite:jobs.db`"));
    }
    if path == ":memory:" {
        return Err(
            Failure::usage("`sqlite::memory:` is not shared between connections").hint("use `memory:`")
        );
    }
    let path = base.map_or_else(|| PathBuf::from(path), |base| base.join(path));
    let mut file = File { path, synchronous: None, busy_timeout: None, share: false };
    for option in options.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        file.option(name, value)?;
    }
    Ok(file)
}
