//! The PostgreSQL server of the runs: private, durable, and started when a row first needs it.

use std::path::Path;

use gristmill_testserver::Postgres;

/// A server that is not started before it is needed.
#[derive(Debug, Default)]
pub(crate) struct Server(Option<Result<Postgres, String>>);

impl Server {
    /// The URL of a fresh database, with everything older written out, so that no checkpoint of it falls into
    /// the run.
    pub(crate) fn fresh_database(&mut self) -> Result<String, String> {
        let server = self.0.get_or_insert_with(start).as_ref().map_err(Clone::clone)?;
        let url = server.fresh_database();
        server.try_psql(server.url(), "CHECKPOINT").map_err(|error| error.to_string())?;
        Ok(url)
    }

    /// Drops a database of [`Server::fresh_database`].
    pub(crate) fn drop_database(&self, url: &str) -> Result<(), String> {
        let (Some(Ok(server)), Some((_, name))) = (&self.0, url.rsplit_once('/')) else { return Ok(()) };
        let sql = format!("DROP DATABASE {name} WITH (FORCE)");
        server.try_psql(server.url(), &sql).map(drop).map_err(|error| error.to_string())
    }
}

fn start() -> Result<Postgres, String> {
    let mut builder = Postgres::builder()
        .durable()
        .setting("synchronous_commit", "on")
        .setting("shared_buffers", "512MB")
        .setting("max_wal_size", "4GB");
    // The folder for temporary files may be kept in memory, where a commit costs nothing; this one never is.
    let disk = Path::new("/var/tmp");
    if disk.is_dir() {
        builder = builder.data_dir_in(disk);
    }
    builder.try_start().map_err(|error| error.to_string())
}
