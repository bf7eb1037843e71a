//! The one place that turns a URL into a backend.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gristmill::backend::Backend;
use gristmill::{
    Memory, MigrateMode, Sqlite, SqliteBuilder, Synchronous, did_you_mean, format_duration, parse_duration,
};

use crate::failure::{Code, Failure, Result};

/// The store a command uses when none is named.
pub(crate) const DEFAULT_URL: &str = "sqlite:jobs.db";

/// What a command does to a store that is not there, or has an older schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    /// Makes it, and brings the schema up to date.
    Create,
    /// Makes it, and leaves the schema to the command.
    Migrate,
    /// Says so.
    Refuse,
}

/// A URL, taken apart. Its text is never printed: other backends' URLs hold passwords.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Url {
    /// `memory:`
    Memory,
    /// `sqlite:PATH?synchronous=…&busy_timeout=…`
    Sqlite(File),
}

/// A database file, and how to open it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    path: PathBuf,
    synchronous: Option<Synchronous>,
    busy_timeout: Option<Duration>,
}

/// Schemes of backends that later versions bring.
const LATER: [&str; 7] = ["postgres", "postgresql", "mysql", "mariadb", "redis", "rediss", "redis+cluster"];

impl Url {
    /// Reads a URL; a relative path lies below `base`.
    pub(crate) fn parse(text: &str, base: Option<&Path>) -> Result<Self> {
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err(Failure::usage("the store's URL has no scheme").hint(
                "write `sqlite:PATH` for a file, or `memory:` for a store that ends with the process",
            ));
        };
        match scheme {
            "memory" if rest.trim_start_matches('/').is_empty() => Ok(Self::Memory),
            "memory" => Err(Failure::usage("`memory:` takes neither a path nor options")),
            "sqlite" => sqlite(rest, base),
            _ if LATER.contains(&scheme) => Err(Failure::usage(format!(
                "this build has no backend for `{scheme}:`"
            ))
            .hint("it has `sqlite:PATH` and `memory:`; PostgreSQL, MySQL and Redis come in later versions")),
            _ => Err(Failure::usage(format!("`{}:` names no backend", scheme.escape_debug()))
                .hint("use `sqlite:PATH` or `memory:`")),
        }
    }

    /// The URL as it may be shown.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Memory => "memory:".to_owned(),
            Self::Sqlite(file) => format!("sqlite:{}", file.path.display()),
        }
    }

    /// The same store, for workers with leases of this length: unless the URL says otherwise, nothing waits longer for
    /// it than half of that.
    pub(crate) fn for_lease(&self, lease: Duration) -> Self {
        match self {
            Self::Sqlite(file) if file.busy_timeout.is_none() => {
                let busy_timeout = Some(SqliteBuilder::DEFAULT_BUSY_TIMEOUT.min(lease / 2));
                Self::Sqlite(File { busy_timeout, ..file.clone() })
            }
            other => other.clone(),
        }
    }

    /// A URL under which another process finds the same store, if that can be.
    pub(crate) fn shared(&self) -> Option<String> {
        let Self::Sqlite(file) = self else { return None };
        let mut url = format!("sqlite:{}?", file.path.display());
        if let Some(synchronous) = file.synchronous {
            // Writing to a `String` cannot fail.
            let _ = write!(url, "synchronous={}&", synchronous.as_str().to_lowercase());
        }
        if let Some(timeout) = file.busy_timeout {
            let _ = write!(url, "busy_timeout={}", format_duration(timeout));
        }
        Some(url)
    }

    /// The statements that make the schema.
    pub(crate) fn schema(&self) -> Result<String> {
        match self {
            Self::Memory => Err(Failure::usage("`memory:` has no schema")),
            Self::Sqlite(_) => Ok(Sqlite::schema()),
        }
    }

    /// Opens the store.
    pub(crate) async fn open(&self, absent: Absent) -> Result<Arc<dyn Backend>> {
        match self {
            Self::Memory => Ok(Arc::new(Memory::new())),
            Self::Sqlite(file) => {
                let file = file.clone();
                let opened = tokio::task::spawn_blocking(move || file.open(absent)).await;
                let opened =
                    opened.map_err(|error| Failure::failed(format!("the store was not opened: {error}")))?;
                Ok(Arc::new(opened?))
            }
        }
    }
}

impl File {
    fn open(&self, absent: Absent) -> Result<Sqlite> {
        if absent == Absent::Refuse && !self.path.exists() {
            let message = format!("there is no store at {}", self.path.display());
            return Err(Failure::new(Code::Unreachable, message)
                .hint("name another with --db or GRISTMILL_DB, or make one with `gristmill migrate`"));
        }
        let mut builder = Sqlite::builder(&self.path);
        if let Some(synchronous) = self.synchronous {
            builder = builder.synchronous(synchronous);
        }
        if let Some(busy_timeout) = self.busy_timeout {
            builder = builder.busy_timeout(busy_timeout);
        }
        let migrate = if absent == Absent::Create { MigrateMode::Up } else { MigrateMode::Status };
        builder.migrate(migrate).open().map_err(|error| Failure::from(error).about(self.path.display()))
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
            other => {
                let failure =
                    Failure::usage(format!("unknown option `{}` of `sqlite:`", other.escape_debug()));
                return Err(match did_you_mean(other, ["synchronous", "busy_timeout"]) {
                    Some(known) => failure.hint(format!("did you mean `{known}`?")),
                    None => failure.hint("it knows `synchronous` and `busy_timeout`"),
                });
            }
        }
        Ok(())
    }
}

fn sqlite(rest: &str, base: Option<&Path>) -> Result<Url> {
    let (path, options) = rest.rsplit_once('?').unwrap_or((rest, ""));
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
    let mut file = File { path, synchronous: None, busy_timeout: None };
    for option in options.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        file.option(name, value)?;
    }
    Ok(Url::Sqlite(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_this_build_are_read() {
        let sqlite = |path: &str, synchronous| {
            Url::Sqlite(File { path: path.into(), synchronous, busy_timeout: None })
        };
        for (text, url) in [
            ("memory:", Url::Memory),
            ("sqlite:jobs.db", sqlite("jobs.db", None)),
            ("sqlite:///a/b.db?synchronous=off", sqlite("/a/b.db", Some(Synchronous::Off))),
            ("sqlite:/a b/c?d.db?synchronous=full", sqlite("/a b/c?d.db", Some(Synchronous::Full))),
        ] {
            assert_eq!(Url::parse(text, None).expect(text), url);
        }
        assert_eq!(Url::parse("sqlite:a", Some(Path::new("/x"))).expect("valid"), sqlite("/x/a", None));
    }

    #[test]
    fn what_is_refused_never_shows_a_password() {
        for text in [
            "postgres://me:secret@host/x",
            "ftp://me:secret@host",
            "jobs.db",
            "sqlite:",
            "sqlite::memory:",
            "sqlite:a?sync=full",
            "sqlite:a?synchronous=extra",
            "memory:x",
        ] {
            let failure = Url::parse(text, None).expect_err(text);
            assert!(!failure.to_string().contains("secret"), "{failure}");
            assert!(failure.remedy().is_some() || text == "memory:x", "{text} needs a remedy");
        }
    }
}
