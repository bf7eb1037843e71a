//! What the file system under the database says.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use gristmill_core::{BackendError, BackendErrorKind};

/// Makes an empty file that only its owner may read and write, unless a file is there.
///
/// It is made under another name and linked, so that this function never opens a database. Closing a database
/// file would drop every lock that this process holds on it, also those of other connections
/// (<https://www.sqlite.org/howtocorrupt.html>, section 2.2).
pub(crate) fn create(path: &Path) -> Result<(), BackendError> {
    if path.exists() {
        return Ok(());
    }
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{:016x}.new", fastrand::u64(..)));
    let fresh = path.with_file_name(name);
    let made = private_file(&fresh).and_then(|()| {
        let linked = std::fs::hard_link(&fresh, path);
        let removed = std::fs::remove_file(&fresh);
        match linked {
            // Another process was faster.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => removed,
            // A file system without links.
            Err(_) => removed.and_then(|()| private_file(path)),
            Ok(()) => removed,
        }
    });
    match made {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(cannot_create(path, error)),
        _ => Ok(()),
    }
}

fn private_file(path: &Path) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

fn cannot_create(path: &Path, error: Error) -> BackendError {
    let kind = match error.kind() {
        ErrorKind::ReadOnlyFilesystem => BackendErrorKind::ReadOnly,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => BackendErrorKind::Full,
        _ => BackendErrorKind::Unavailable,
    };
    BackendError::new(kind, format!("the database file `{}` cannot be made", path.display()))
        .with_hint("check that its folder exists and that this user may write there")
        .lasting()
        .with_source(error)
}

/// Where the write-ahead log of a database lies.
pub(crate) fn log(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

/// Whether the header of a file says that it has a write-ahead log. Only for a process that may not write the
/// file: closing it drops the locks of all its connections.
pub(crate) fn says_wal(path: &Path) -> bool {
    // The read version of the format: <https://www.sqlite.org/fileformat.html#file_format_version_numbers>.
    const READ_VERSION: usize = 19;
    let mut header = [0; READ_VERSION + 1];
    !is_writable(path)
        && File::open(path).and_then(|mut file| file.read_exact(&mut header)).is_ok()
        && header[READ_VERSION] == 2
}

/// Whether this process may write a file, and make others beside it.
#[cfg(unix)]
pub(crate) fn is_writable(path: &Path) -> bool {
    let may_write = |path: &Path| rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok();
    may_write(path) && path.parent().is_none_or(may_write)
}

/// Whether this process may write a file.
#[cfg(not(unix))]
pub(crate) fn is_writable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| !file.permissions().readonly())
}

/// The file's permission bits, where the system has them.
#[cfg(unix)]
pub(crate) fn mode(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    Some(std::fs::metadata(path).ok()?.permissions().mode() & 0o777)
}

/// The file's permission bits, where the system has them.
#[cfg(not(unix))]
pub(crate) fn mode(_path: &Path) -> Option<u32> {
    None
}

/// Refuses a file system that other machines may write to: SQLite's locks and shared memory do not reach
/// them.
#[cfg(target_os = "linux")]
pub(crate) fn refuse_network(path: &Path) -> Result<(), BackendError> {
    // statfs(2), and `include/linux/magic.h` for those it does not list.
    const REMOTE: [(u32, &str); 9] = [
        (0x0000_6969, "NFS"),
        (0x0000_517b, "SMB"),
        (0xff53_4d42, "CIFS"),
        (0xfe53_4d42, "SMB"),
        (0x6573_5546, "FUSE"),
        (0x00c3_6400, "Ceph"),
        (0x5346_414f, "AFS"),
        (0x7375_7245, "Coda"),
        (0x0102_1997, "9P"),
    ];
    let folder = path.parent().unwrap_or(path);
    let Ok(found) = rustix::fs::statfs(if path.exists() { path } else { folder }) else { return Ok(()) };
    let magic = u32::try_from(found.f_type & 0xffff_ffff).unwrap_or(0);
    let Some((_, name)) = REMOTE.iter().find(|(number, _)| *number == magic) else { return Ok(()) };
    let message = format!("`{}` lies on a {name} file system", path.display());
    Err(BackendError::new(BackendErrorKind::Refused, message).with_hint(
        "locks and shared memory of SQLite do not work there; name a file on a local disk, or use a database server",
    ))
}

/// Refuses a file system that other machines may write to, where the system can tell.
#[cfg(not(target_os = "linux"))]
pub(crate) fn refuse_network(_path: &Path) -> Result<(), BackendError> {
    Ok(())
}

/// Bytes that are free for this user, where the system can tell.
#[cfg(target_os = "linux")]
pub(crate) fn free_bytes(path: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(path).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Bytes that are free for this user, where the system can tell.
#[cfg(not(target_os = "linux"))]
pub(crate) fn free_bytes(_path: &Path) -> Option<u64> {
    None
}
