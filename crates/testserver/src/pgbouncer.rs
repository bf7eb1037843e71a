//! PgBouncer, a pooler between clients and a PostgreSQL server.

use std::{
    env, fs,
    net::{Ipv4Addr, TcpStream},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{
    error::{ServerError, output_of},
    port::Port,
    postgres::{Account, Postgres},
    url,
    waiting::until,
};

/// Where the packages of Debian and Ubuntu put it; often on no PATH but root's.
const FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];
/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs `$1` with the settings `$2` until the pipe ends, which the kernel closes when its owner ends, however
/// that ends.
const SCRIPT: &str =
    r#"trap '' HUP INT TERM; "$1" -q "$2" & pid=$!; cat >/dev/null; kill -TERM "$pid"; wait "$pid""#;

/// A PgBouncer in transaction mode before a server, on a loopback port: each transaction may get another
/// session. Ends with its value.
///
/// ```
/// use gristmill_testserver::{PgBouncer, Postgres};
///
/// let server = Postgres::start();
/// let pooler = PgBouncer::before(&server);
/// assert_eq!(server.try_psql(pooler.url(), "SELECT 1 + 1")?, "2");
/// # Ok::<(), gristmill_testserver::ServerError>(())
/// ```
#[derive(Debug)]
pub struct PgBouncer {
    url: String,
    shell: Child,
    /// Held until it has ended.
    _port: Port,
}

impl PgBouncer {
    /// Finds the program: in the folders of packages, else on the `PATH`.
    ///
    /// # Errors
    /// When there is none, with the command that installs it.
    pub fn find() -> Result<PathBuf, ServerError> {
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = FOLDERS.iter().map(PathBuf::from).chain(env::split_paths(&path));
        let found = folders.map(|folder| folder.join("pgbouncer")).find(|file| file.is_file());
        found.ok_or_else(|| ServerError::new("no PgBouncer found").with_hint("apt-get install pgbouncer"))
    }

    /// The version it says of itself, `1.18.0`.
    ///
    /// # Errors
    /// When it is missing or does not run.
    pub fn version() -> Result<String, ServerError> {
        let text = output_of(Command::new(Self::find()?).arg("--version"))?;
        Ok(text.split_whitespace().nth(1).unwrap_or("unknown").to_owned())
    }

    /// Starts one before a server, with three sessions for all clients, and waits until it takes connections.
    ///
    /// # Panics
    /// When it cannot be started, with the reason and what to do about it.
    #[track_caller]
    pub fn before(server: &Postgres) -> Self {
        Self::with_settings(server, "")
    }

    /// As [`before`](Self::before), with further lines of settings.
    ///
    /// # Panics
    /// When it cannot be started, with the reason and what to do about it.
    #[track_caller]
    pub fn with_settings(server: &Postgres, lines: &str) -> Self {
        Self::try_start(server, lines).unwrap_or_else(|error| error.panic())
    }

    fn try_start(server: &Postgres, lines: &str) -> Result<Self, ServerError> {
        let (program, account, port) = (Self::find()?, Account::find()?, Port::take()?);
        let files = server.socket_dir().join(format!("pgbouncer-{}", port.number()));
        let [settings, users, log] = ["ini", "users", "log"].map(|kind| files.with_extension(kind));
        write(&users, "\"gristmill\" \"\"\n")?;
        let text = format!(
            "[databases]\n* = host={host} port={to}\n[pgbouncer]\nlisten_addr = {host}\nlisten_port = {from}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {users}\nlogfile = {log}\n\
             pool_mode = transaction\ndefault_pool_size = 3\nmax_client_conn = 200\n{lines}\n",
            host = Ipv4Addr::LOCALHOST,
            to = server.port(),
            from = port.number(),
            users = users.display(),
            log = log.display(),
        );
        write(&settings, &text)?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT, "pgbouncer"]).arg(program).arg(&settings).current_dir("/");
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        account.apply(&mut command);
        let shell = command.spawn().map_err(|source| ServerError::starting(&command, source))?;
        let place = format!("{}:{}", Ipv4Addr::LOCALHOST, port.number());
        let pooler = Self { url: url::with_place(server.url(), &place), shell, _port: port };
        if until(PATIENCE, || TcpStream::connect(&place).is_ok()) {
            return Ok(pooler);
        }
        let said = fs::read_to_string(&log).unwrap_or_default();
        Err(ServerError::new(format!("PgBouncer does not take connections; its log says:\n{said}")))
    }

    /// The URL of the server's database through it.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

fn write(path: &Path, text: &str) -> Result<(), ServerError> {
    fs::write(path, text).map_err(|error| ServerError::at("write", path, error))
}
