//! A data directory that is made once and copied for each server: `initdb` takes a second or two, a copy
//! milliseconds.
//!
//! Templates lie in `testserver` in cargo's target folder, one for each version of the server and of what is
//! put into it, so `cargo clean` removes them. Processes that need the same one at the same time wait for a
//! lock; a template is renamed to its name when it is complete and is never changed afterwards, so copying
//! needs no lock.

use std::{
    env, fs,
    fs::OpenOptions,
    hash::{DefaultHasher, Hash, Hasher},
    io::Write,
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
};

use rustix::fs::{FlockOperation, flock};

use super::{account::Account, binaries::PostgresBinaries};
use crate::error::{ServerError, output_of};

/// The superuser and the database of every server.
pub(super) const NAME: &str = "gristmill";

/// Trust is safe here: only this machine can connect. The C locale sorts by bytes, everywhere the same.
const INITDB: &[&str] =
    &["--no-sync", "--auth=trust", "--username=gristmill", "--encoding=UTF8", "--locale=C"];
/// Renamed, not created: a quarter of the files less to copy for each server.
const DATABASE: &str = "ALTER DATABASE postgres RENAME TO gristmill;\n";

/// Fills `data`, which must not exist, with a fresh data directory. `scratch` is a folder that `account` can
/// reach.
pub(super) fn instantiate(
    binaries: &PostgresBinaries,
    account: Account,
    scratch: &Path,
    data: &Path,
) -> Result<(), ServerError> {
    copy(&prepared(binaries, account, scratch)?, data)
}

/// The template; created if it does not exist yet.
fn prepared(binaries: &PostgresBinaries, account: Account, scratch: &Path) -> Result<PathBuf, ServerError> {
    let mut hasher = DefaultHasher::new();
    (binaries.folder(), binaries.version(), account, INITDB, DATABASE).hash(&mut hasher);
    let cache = cache_folder();
    let template = cache.join(format!("postgres-{}-{:016x}", binaries.major(), hasher.finish()));
    if template.is_dir() {
        return Ok(template);
    }
    fs::create_dir_all(&cache).map_err(|error| ServerError::at("create", &cache, error))?;
    let lock_path = template.with_extension("lock");
    let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&lock_path);
    let lock = lock.map_err(|error| ServerError::at("open", &lock_path, error))?;
    flock(&lock, FlockOperation::LockExclusive)
        .map_err(|error| ServerError::at("lock", &lock_path, error.into()))?;
    if template.is_dir() {
        return Ok(template);
    }
    // The account may have no access to the target folder, so the directory is made elsewhere and copied.
    let fresh = scratch.join("template");
    initialise(binaries, account, scratch, &fresh)?;
    let partial = template.with_extension(format!("partial-{}", process::id()));
    let _ = fs::remove_dir_all(&partial);
    copy(&fresh, &partial)?;
    fs::rename(&partial, &template).map_err(|error| ServerError::at("rename", &partial, error))?;
    fs::remove_dir_all(&fresh).map_err(|error| ServerError::at("remove", &fresh, error))?;
    Ok(template)
}

fn initialise(
    binaries: &PostgresBinaries,
    account: Account,
    scratch: &Path,
    data: &Path,
) -> Result<(), ServerError> {
    fs::create_dir(data).map_err(|error| ServerError::at("create", data, error))?;
    account.own(data)?;
    let mut initdb = binaries.command("initdb");
    initdb.args(INITDB).arg("--pgdata").arg(data).current_dir(scratch);
    account.apply(&mut initdb);
    output_of(&mut initdb)?;

    // A server without a network, for one user, who is us.
    let mut single = binaries.command("postgres");
    single.args(["--single", "-F", "-D"]).arg(data).arg("template1").current_dir(scratch);
    account.apply(&mut single);
    single.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = single.spawn().map_err(|source| ServerError::starting(&single, source))?;
    let mut stdin = child.stdin.take().expect("its input is a pipe");
    // If it has ended already, its complaint says more than the broken pipe.
    let _ = stdin.write_all(DATABASE.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().map_err(|source| ServerError::starting(&single, source))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    // In this mode an error of a statement does not end the server.
    if !output.status.success() || complaint.contains("ERROR:") || complaint.contains("FATAL:") {
        return Err(ServerError::new(format!("cannot name the database: {}", complaint.trim())));
    }
    Ok(())
}

/// Copies a folder with owners and modes, sharing blocks where the file system can.
fn copy(from: &Path, to: &Path) -> Result<(), ServerError> {
    let mut command = Command::new("cp");
    if cfg!(target_os = "linux") {
        command.arg("--reflink=auto");
    }
    output_of(command.arg("-a").arg(from).arg(to)).map(drop)
}

/// `testserver` in the target folder that this program was built into.
fn cache_folder() -> PathBuf {
    let program = env::current_exe().unwrap_or_default();
    // Cargo marks its target folder this way, see <https://bford.info/cachedir/>.
    let target = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    let target =
        target.map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"), Path::to_owned);
    target.join("testserver")
}
