//! The one place that turns a URL into a backend.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gristmill::backend::Backend;
use gristmill::{Memory, did_you_mean};

use crate::failure::{Code, Failure, Result};

/// The store a command uses when none is named.
pub(crate) const DEFAULT_URL: &str = "sqlite:jobs.db";

/// Whether a store that is not there is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    /// Make it.
    Create,
    /// Say so.
    Refuse,
}

/// A URL, taken apart. Its text is never printed: other backends' URLs hold passwords.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Url {
    /// `memory:`
    Memory,
    /// `sqlite:PATH?synchronous=…`
    Sqlite {
        path: PathBuf,
        synchronous: Option<Sync>,
    },
}

/// SQLite's `synchronous`: when a commit is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sync {
    Off,
    Normal,
    Full,
}

/// Schemes of backends that later versions bring.
const LATER: [&str; 7] =
    ["postgres", "postgresql", "mysql", "mariadb", "redis", "rediss", "redis+cluster"];

impl Url {
    /// Reads a URL; a relative path lies below `base`.
    pub(crate) fn parse(text: &str, base: Option<&Path>) -> Result<Self> {
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err(Failure::usage("the store's URL has no scheme")
                .hint("write `sqlite:PATH` for a file, or `memory:` for a store that ends with the process"));
        };
        match scheme {
            "memory" if rest.trim_start_matches('/').is_empty() => Ok(Self::Memory),
            "memory" => Err(Failure::usage("`memory:` takes neither a path nor options")),
            "sqlite" => sqlite(rest, base),
            _ if LATER.contains(&scheme) => Err(Failure::usage(format!("this build has no backend for `{scheme}:`"))
                .hint("it has `sqlite:PATH` and `memory:`; PostgreSQL, MySQL and Redis come in later versions")),
            _ => Err(Failure::usage(format!("`{}:` names no backend", scheme.escape_debug()))
                .hint("use `sqlite:PATH` or `memory:`")),
        }
    }

    /// The URL as it may be shown.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Memory => "memory:".to_owned(),
            Self::Sqlite { path, .. } => format!("sqlite:{}", path.display()),
        }
    }

    /// The statements that make the schema.
    pub(crate) fn schema(&self) -> Result<&'static str> {
        Err(Failure::usage(format!("{} has no schema to print", self.shown())))
    }

    /// Opens the store, and makes it where that is wanted.
    pub(crate) async fn open(&self, absent: Absent) -> Result<Arc<dyn Backend>> {
        match self {
            Self::Memory => Ok(Arc::new(Memory::new())),
            Self::Sqlite { path, synchronous } => {
                if absent == Absent::Refuse && !path.exists() {
                    return Err(Failure::new(Code::Unreachable, format!("there is no store at {}", path.display()))
                        .hint("name another with --db or GRISTMILL_DB, or make one with `gristmill migrate`"));
                }
                open_sqlite(path, *synchronous).await
            }
        }
    }
}

async fn open_sqlite(_path: &Path, _synchronous: Option<Sync>) -> Result<Arc<dyn Backend>> {
    Err(Failure::failed("sqlite is not wired yet"))
}

fn sqlite(rest: &str, base: Option<&Path>) -> Result<Url> {
    let (path, options) = rest.rsplit_once('?').unwrap_or((rest, ""));
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() {
        return Err(Failure::usage("`sqlite:` names no file").hint("write `sqlite:jobs.db`"));
    }
    if path == ":memory:" {
        return Err(Failure::usage("`sqlite::memory:` is not shared between connections").hint("use `memory:`"));
    }
    let mut synchronous = None;
    for option in options.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        match (name, value) {
            ("synchronous", "off") => synchronous = Some(Sync::Off),
            ("synchronous", "normal") => synchronous = Some(Sync::Normal),
            ("synchronous", "full") => synchronous = Some(Sync::Full),
            ("synchronous", other) => {
                return Err(Failure::usage(format!("`synchronous={}` is not known", other.escape_debug()))
                    .hint("use off, normal or full"));
            }
            (other, _) => {
                let failure = Failure::usage(format!("unknown option `{}` of `sqlite:`", other.escape_debug()));
                return Err(match did_you_mean(other, ["synchronous"]) {
                    Some(known) => failure.hint(format!("did you mean `{known}`?")),
                    None => failure.hint("it knows `synchronous`"),
                });
            }
        }
    }
    let path = base.map_or_else(|| PathBuf::from(path), |base| base.join(path));
    Ok(Url::Sqlite { path, synchronous })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_this_build_are_read() {
        let sqlite = |path: &str, synchronous| Url::Sqlite { path: path.into(), synchronous };
        for (text, url) in [
            ("memory:", Url::Memory),
            ("sqlite:jobs.db", sqlite("jobs.db", None)),
            ("sqlite:///a/b.db?synchronous=off", sqlite("/a/b.db", Some(Sync::Off))),
            ("sqlite:/a b/c?d.db?synchronous=full", sqlite("/a b/c?d.db", Some(Sync::Full))),
        ] {
            assert_eq!(Url::parse(text, None).expect(text), url);
        }
        assert_eq!(Url::parse("sqlite:a", Some(Path::new("/x"))).expect("valid"), sqlite("/x/a", None));
    }

    #[test]
    fn what_is_refused_never_shows_a_password() {
        for text in ["postgres://me:secret@host/x", "ftp://me:secret@host", "jobs.db", "sqlite:", "sqlite::memory:",
            "sqlite:a?sync=full", "sqlite:a?synchronous=extra", "memory:x"]
        {
            let failure = Url::parse(text, None).expect_err(text);
            assert!(!failure.to_string().contains("secret"), "{failure}");
            assert!(failure.remedy().is_some() || text == "memory:x", "{text} needs a remedy");
        }
    }
}
