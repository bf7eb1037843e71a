//! The one place that turns a URL into a backend.

mod file;
mod server;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gristmill::backend::Backend;
use gristmill::{Memory, Sqlite};
use serde::Deserialize;

use crate::failure::{Failure, Result};

use file::File;
use server::Server;

/// The file of the store that a command uses when none is named.
pub(crate) const DEFAULT_FILE: &str = "jobs.db";

/// What a command does to a store that is not there, or has an older schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    /// Makes it, and brings the schema up to date.
    Create,
    /// Makes it, and leaves the schema to the command.
    Migrate,
    /// Says so.
    Refuse,
    /// Says so, and only reads.
    Read,
}

/// A URL as it was given. It may hold a password, so it has no `Debug` of its text.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct GivenUrl(pub(crate) String);

impl From<String> for GivenUrl {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for GivenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GivenUrl(..)")
    }
}

/// A URL, taken apart. Its text is never printed: other backends' URLs hold passwords.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Url {
    /// `memory:`
    Memory,
    /// `sqlite:PATH?synchronous=…&busy_timeout=…`
    Sqlite(File),
    /// `postgres://user:password@host:port/database?schema=…`
    Postgres(Server),
}

/// Schemes of backends that later versions bring.
const LATER: [&str; 5] = ["mysql", "mariadb", "redis", "rediss", "redis+cluster"];

impl Url {
    /// Reads a URL; a relative path lies below `base`.
    pub(crate) fn parse(text: &str, base: Option<&Path>) -> Result<Self> {
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err(Failure::usage("the store's URL has no scheme").hint(
                "write `postgres://USER@HOST/DATABASE` for a server, `sqlite:PATH` for a file, or `memory:` for a store \
                 that ends with the process",
            ));
        };
        match scheme {
            "memory" if rest.trim_start_matches('/').is_empty() => Ok(Self::Memory),
            "memory" => Err(Failure::usage("`memory:` takes neither a path nor options")),
            "sqlite" => file::parse(rest, base).map(Self::Sqlite),
            "postgres" | "postgresql" => Server::parse(text).map(Self::Postgres),
            _ if LATER.contains(&scheme) => Err(Failure::usage(format!(
                "this build has no backend for `{scheme}:`"
            ))
            .hint(
                "it has `postgres://…`, `sqlite:PATH` and `memory:`; MySQL and Redis come in later versions",
            )),
            // Without `//` it may be a piece of anything.
            _ if !rest.starts_with("//") || !scheme.bytes().all(|byte| byte.is_ascii_alphabetic()) => {
                Err(Failure::usage("the store's URL begins with no scheme of a backend")
                    .hint("use `postgres://user@host/database`, `sqlite:PATH` or `memory:`"))
            }
            _ => Err(Failure::usage(format!("`{}:` names no backend", scheme.escape_debug()))
                .hint("use `postgres://user@host/database`, `sqlite:PATH` or `memory:`")),
        }
    }

    /// The URL as it may be shown.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Memory => "memory:".to_owned(),
            Self::Sqlite(file) => format!("sqlite:{}", file.path.display()),
            Self::Postgres(server) => server.shown(),
        }
    }

    /// The same store, for workers with leases of this length: unless the URL says otherwise, nothing waits
    /// longer for it than half of that.
    pub(crate) fn for_lease(&self, lease: Duration) -> Self {
        match self {
            Self::Sqlite(file) => Self::Sqlite(file.for_lease(lease)),
            other => other.clone(),
        }
    }

    /// A URL under which another process finds the same store, if that can be.
    #[cfg(feature = "bench")]
    pub(crate) fn shared(&self) -> Option<String> {
        match self {
            Self::Memory => None,
            Self::Sqlite(file) => Some(file.url()),
            Self::Postgres(server) => Some(server.url().to_owned()),
        }
    }

    /// The statements that make the schema.
    pub(crate) fn schema(&self) -> Result<String> {
        match self {
            Self::Memory => Err(Failure::usage("`memory:` has no schema")),
            Self::Sqlite(_) => Ok(Sqlite::schema()),
            Self::Postgres(server) => server.schema(),
        }
    }

    /// Opens the store if it is on a server, whose own cost can be asked for then.
    #[cfg(feature = "bench")]
    pub(crate) async fn open_server(&self, absent: Absent) -> Result<Option<gristmill::Postgres>> {
        match self {
            Self::Memory | Self::Sqlite(_) => Ok(None),
            Self::Postgres(server) => server.open(absent).await.map(Some),
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
            Self::Postgres(server) => Ok(Arc::new(server.open(absent).await?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use gristmill::Synchronous;

    use super::*;
    use crate::config::Config;
    use crate::setup::Global;

    #[test]
    fn urls_of_this_build_are_read() {
        let sqlite = |path: &str, synchronous| {
            Url::Sqlite(File { path: path.into(), synchronous, busy_timeout: None, share: false })
        };
        let shared =
            Url::Sqlite(File { path: "app.db".into(), synchronous: None, busy_timeout: None, share: true });
        for (text, url) in [
            ("memory:", Url::Memory),
            ("sqlite:jobs.db", sqlite("jobs.db", None)),
            ("sqlite:app.db?share=true", shared),
            ("sqlite:///a/b.db?synchronous=off", sqlite("/a/b.db", Some(Synchronous::Off))),
            ("sqlite:/a b/c?d.db?synchronous=full", sqlite("/a b/c?d.db", Some(Synchronous::Full))),
        ] {
            assert_eq!(Url::parse(text, None).expect(text), url);
        }
        assert_eq!(Url::parse("sqlite:a", Some(Path::new("/x"))).expect("valid"), sqlite("/x/a", None));
    }

    #[test]
    fn a_url_is_shown_by_no_debug_format() {
        let text = "postgres://me:secret@host/x";
        let given = GivenUrl(text.to_owned());
        let global = Global { db: Some(given.clone()), config: None, log: None };
        let config = Config { db: Some(given), ..Config::default() };
        let url = Url::parse(text, None).expect("it is one");
        for shown in [format!("{global:?}"), format!("{config:#?}"), format!("{url:?}")] {
            assert!(!shown.contains("secret"), "{shown}");
        }
    }

    #[test]
    fn what_is_refused_never_shows_a_password() {
        for text in [
            "mysql://me:secret@host/x",
            "secret@host:5432/x",
            "me:secret@host/x",
            "secret:x",
            "sqlite://me:secret@host/x",
            "postgres://me:sec@secret/x@host/x",
            "postgres://me:@secret@host/x",
            "postgres://me:secret@secret@host/x",
            "postgres://host/x?passwort=secret",
            "postgres://me:secret@host:x/",
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
