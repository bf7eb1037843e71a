//! What a server is started with.

use std::path::{Path, PathBuf};

use super::{binaries::PostgresBinaries, server::Postgres};
use crate::error::ServerError;

/// Settings of a server, made by [`Postgres::builder`].
///
/// Defaults: `fsync=off`, which loses nothing when only the server is killed, `synchronous_commit=on`,
/// `max_connections=200`, `shared_buffers=128MB`. Everything else is PostgreSQL's default.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it starts a server"]
pub struct PostgresBuilder {
    pub(super) settings: Vec<(String, String)>,
    pub(super) elsewhere: Option<PathBuf>,
    pub(super) binaries: Option<PostgresBinaries>,
    pub(super) is_encrypted: bool,
}

impl PostgresBuilder {
    pub(super) fn new() -> Self {
        let settings = [
            ("fsync", "off"),
            ("synchronous_commit", "on"),
            ("max_connections", "200"),
            ("shared_buffers", "128MB"),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Self { settings, elsewhere: None, binaries: None, is_encrypted: false }
    }

    /// Sets `fsync=on`: a commit waits for the disk, as in production. For tests of durability and for
    /// measuring.
    pub fn durable(self) -> Self {
        self.setting("fsync", "on")
    }

    /// Sets a parameter of the server's configuration. The last value of a name counts; an unknown name or a
    /// wrong value keeps the server from starting.
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Lets clients connect with TLS, and without, too. The certificate is one for `localhost`, by the
    /// authority in [`authority_file`](Postgres::authority_file).
    pub fn encrypted(mut self) -> Self {
        self.is_encrypted = true;
        self
    }

    /// Puts the data below `folder`, on another file system say; a full one, or one of memory. It needs about
    /// 40 MB, and the server's account must be able to reach it. What is put there is removed with the
    /// server.
    pub fn data_dir_in(mut self, folder: impl AsRef<Path>) -> Self {
        self.elsewhere = Some(folder.as_ref().to_owned());
        self
    }

    /// Runs these programs instead of those that [`PostgresBinaries::find`] finds.
    pub fn binaries(mut self, binaries: PostgresBinaries) -> Self {
        self.binaries = Some(binaries);
        self
    }

    /// Starts the server and waits until it takes connections.
    ///
    /// # Panics
    /// When [`try_start`](Self::try_start) fails, with its reason.
    #[track_caller]
    pub fn start(self) -> Postgres {
        self.try_start().unwrap_or_else(|error| error.panic())
    }

    /// Starts the server and waits until it takes connections.
    ///
    /// # Errors
    /// When its programs are missing, a folder cannot be used, or the server does not come up.
    pub fn try_start(self) -> Result<Postgres, ServerError> {
        Postgres::from_builder(self)
    }
}
