//! A private PostgreSQL server.

use std::{
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    account::Account,
    binaries::PostgresBinaries,
    builder::PostgresBuilder,
    certificate, psql,
    running::{self, Recipe, Running},
    template::{self, NAME},
    watchdog::Watchdog,
};
use crate::{
    error::ServerError,
    folder::{self, Folder},
    port::Port,
    url,
};

/// A PostgreSQL server of our own, on a loopback port and a unix socket, with an empty database.
///
/// It ends with its value, and with the process when that is killed; nothing of it stays. Every method can be
/// called from any thread; those that start and end the server take turns.
///
/// ```
/// use gristmill_testserver::Postgres;
///
/// let server = Postgres::builder().durable().setting("work_mem", "8MB").start();
/// server.psql("CREATE TABLE answers (answer int); INSERT INTO answers VALUES (42)");
/// server.kill();
/// server.start_again();
/// assert_eq!(server.psql("SELECT answer FROM answers"), "42");
/// assert_eq!(server.psql("SHOW work_mem"), "8MB");
/// ```
#[derive(Debug)]
pub struct Postgres {
    recipe: Recipe,
    port: Port,
    url: String,
    /// None while it is stopped or was killed.
    running: Mutex<Option<Running>>,
    watchdog: Watchdog,
    /// Removed last.
    folder: Folder,
}

impl Postgres {
    /// A server with the default settings, see [`PostgresBuilder`].
    ///
    /// # Panics
    /// When it cannot be started, with the reason and what to do about it.
    #[track_caller]
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// A server with other settings.
    pub fn builder() -> PostgresBuilder {
        PostgresBuilder::new()
    }

    pub(super) fn from_builder(builder: PostgresBuilder) -> Result<Self, ServerError> {
        let binaries = builder.binaries.map_or_else(PostgresBinaries::find, Ok)?;
        let account = Account::find()?;
        let folder = Folder::new(end_of_orphan)?;
        let socket = folder.path().join("socket");
        folder::make(&socket)?;
        account.own(&socket)?;
        let data = place_data(&folder, builder.elsewhere.as_deref())?;
        let watchdog = Watchdog::start(&data, folder.path(), &folder.lock_path())?;
        template::instantiate(&binaries, account, folder.path(), &data)?;
        let port = Port::take()?;
        let mut arguments = vec!["-p".to_owned(), port.number().to_string()];
        let places = [
            ("listen_addresses".to_owned(), Ipv4Addr::LOCALHOST.to_string()),
            ("unix_socket_directories".to_owned(), socket.display().to_string()),
        ];
        let encrypted = builder.is_encrypted.then(|| certificate::install(account, folder.path()));
        let encrypted = encrypted.transpose()?.unwrap_or_default();
        for (name, value) in places.iter().chain(&encrypted).chain(&builder.settings) {
            arguments.extend(["-c".to_owned(), format!("{name}={value}")]);
        }
        let log = folder.path().join("server.log");
        let recipe = Recipe { binaries, account, arguments, folder: folder.path().to_owned(), data, log };
        let url = format!("postgres://{NAME}@{}:{}/{NAME}", Ipv4Addr::LOCALHOST, port.number());
        let server = Self { recipe, port, url, running: Mutex::new(None), watchdog, folder };
        *server.running() = Some(Running::start(&server.recipe)?);
        Ok(server)
    }

    /// The URL of its database over TCP: `postgres://gristmill@127.0.0.1:PORT/gristmill`. The account is a
    /// superuser and needs no password; there is no database `postgres`. The URL stays the same over
    /// restarts.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The URL of its database over the unix socket: `postgres://gristmill@%2F…:PORT/gristmill`.
    pub fn socket_url(&self) -> String {
        let mut host = String::new();
        for byte in self.socket_dir().as_os_str().as_encoded_bytes() {
            match byte {
                byte if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) => {
                    host.push(char::from(*byte));
                }
                byte => {
                    let _ = write!(host, "%{byte:02X}");
                }
            }
        }
        format!("postgres://{NAME}@{host}:{}/{NAME}", self.port())
    }

    /// The folder of its unix socket.
    pub fn socket_dir(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// The certificate of the authority that vouches for an [encrypted](PostgresBuilder::encrypted) server.
    pub fn authority_file(&self) -> PathBuf {
        certificate::authority(self.folder.path())
    }

    /// Its TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Where it listens for TCP.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port()).into()
    }

    /// The number of its first process, which all others descend from; none while it is stopped or was
    /// killed.
    pub fn pid(&self) -> Option<u32> {
        self.running().as_ref().map(Running::pid)
    }

    /// Its data directory.
    pub fn data_dir(&self) -> &Path {
        &self.recipe.data
    }

    /// The programs it runs.
    pub fn binaries(&self) -> &PostgresBinaries {
        &self.recipe.binaries
    }

    /// What it has logged so far, over all its runs.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.recipe.log).unwrap_or_default()
    }

    /// Runs `sql` in its database and gives the rows as plain text: a line a row, `|` between columns, no
    /// headings. Each statement is a transaction of its own.
    ///
    /// # Panics
    /// When a statement fails or the server does not answer.
    #[track_caller]
    pub fn psql(&self, sql: &str) -> String {
        self.try_psql(self.url(), sql).unwrap_or_else(|error| error.panic())
    }

    /// Runs `sql` like [`psql`](Self::psql) at any URL: another database, or the same one through a proxy.
    ///
    /// # Errors
    /// When a statement fails or no server answers. The text is the output of `psql`.
    pub fn try_psql(&self, url: &str, sql: &str) -> Result<String, ServerError> {
        psql::run(self.recipe.binaries.psql(), url, sql)
    }

    /// Creates an empty database, which takes some tens of milliseconds, and gives its URL.
    ///
    /// # Panics
    /// When the server does not answer.
    #[track_caller]
    pub fn fresh_database(&self) -> String {
        let name = super::shared::fresh_name("gristmill_test");
        self.psql(&format!("CREATE DATABASE {name} TEMPLATE template0"));
        url::with_database(self.url(), &name)
    }

    /// SIGKILL to the server and all its processes, as if the machine had lost its power but not what was
    /// written to files. Returns when all are gone, so that [`start_again`](Self::start_again) can follow.
    /// Nothing happens if it does not run.
    pub fn kill(&self) {
        let mut running = self.running();
        if let Some(running) = running.take() {
            running.kill();
        }
    }

    /// Ends the server in order, cutting all sessions (a fast shutdown). Nothing happens if it does not run.
    ///
    /// # Panics
    /// When it does not end in two minutes.
    #[track_caller]
    pub fn stop(&self) {
        let mut running = self.running();
        if let Some(Err(error)) = running.take().map(Running::stop) {
            error.panic();
        }
    }

    /// Starts the server after [`kill`](Self::kill) or [`stop`](Self::stop), on the same port and with the
    /// same data, and waits until it takes connections. Nothing happens if it runs.
    ///
    /// # Panics
    /// When it does not come up; the text holds the end of its log.
    #[track_caller]
    pub fn start_again(&self) {
        let mut running = self.running();
        if running.is_none() {
            *running = Some(Running::start(&self.recipe).unwrap_or_else(|error| error.panic()));
        }
    }

    /// [`stop`](Self::stop), then [`start_again`](Self::start_again).
    ///
    /// # Panics
    /// When it does not end or does not come up.
    #[track_caller]
    pub fn restart(&self) {
        self.stop();
        self.start_again();
    }

    /// Stops the server and all its processes (SIGSTOP), and returns when they have stopped. Connections stay
    /// open and the kernel accepts new ones, but the server does not answer. Does nothing if the server is
    /// not running.
    pub fn pause(&self) {
        if let Some(running) = self.running().as_mut() {
            running.pause();
        }
    }

    /// Lets the server go on after [`pause`](Self::pause).
    pub fn resume(&self) {
        if let Some(running) = self.running().as_mut() {
            running.resume();
        }
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        // A panic elsewhere leaves either a server or none; both are to be ended.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let running = self.running().take();
        match running {
            Some(running) => running.quit(&self.recipe.data),
            None => running::release_shared_memory(&self.recipe.data),
        }
        // It may lie on another file system, whose mount point must be free again.
        let _ = fs::remove_dir_all(&self.recipe.data);
        self.watchdog.dismiss();
    }
}

/// Returns the path for the data, which does not exist yet. If it lies elsewhere, a link in the server's
/// folder leads to it, so that a sweep of that folder finds it.
fn place_data(folder: &Folder, elsewhere: Option<&Path>) -> Result<PathBuf, ServerError> {
    let here = folder.path().join("data");
    let Some(elsewhere) = elsewhere else { return Ok(here) };
    let id = folder.path().file_name().unwrap_or_default().to_string_lossy();
    let elsewhere =
        elsewhere.canonicalize().map_err(|error| ServerError::at("use the folder", elsewhere, error))?;
    let data = elsewhere.join(format!("gristmill-postgres-{id}"));
    symlink(&data, &here).map_err(|error| ServerError::at("create", &here, error))?;
    Ok(data)
}

/// Ends what an owner that is gone has left in its folder.
fn end_of_orphan(folder: &Path) {
    let here = folder.join("data");
    let data = fs::read_link(&here).unwrap_or(here);
    running::end_orphan(&data);
    let _ = fs::remove_dir_all(&data);
}
