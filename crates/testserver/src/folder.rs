//! A folder for each server, which goes when its owner goes.
//!
//! Folders lie side by side in one base: `gristmill-testserver-UID/PID-NUMBER`, each beside a lock file
//! `PID-NUMBER.lock`. The owner holds an advisory lock on that file for as long as it lives; the kernel lets
//! go of it when the process ends, however it ends. So a free lock proves that the folder's owner is gone. A
//! process number proves nothing: numbers are reused, and containers share folders but not numbers.

use std::{
    env,
    fs::{self, File, OpenOptions, Permissions},
    io::ErrorKind,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process,
    sync::{
        Once,
        atomic::{AtomicU64, Ordering},
    },
};

use rustix::fs::{FlockOperation, flock};

use crate::error::ServerError;

/// A folder of our own. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// Held, never read.
    lock: Option<File>,
}

impl Folder {
    /// Makes an empty folder. The first call of a process also calls `end_of` for every folder whose owner is
    /// gone, then removes it.
    pub(crate) fn new(end_of: fn(&Path)) -> Result<Self, ServerError> {
        static SWEEP: Once = Once::new();
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let base = base()?;
        SWEEP.call_once(|| sweep(&base, end_of));
        loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let path = base.join(format!("{}-{number}", process::id()));
            let lock_path = lock_path(&path);
            let file = match OpenOptions::new().write(true).create_new(true).open(&lock_path) {
                Ok(file) => file,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(ServerError::at("create", &lock_path, error)),
            };
            // Another process may sweep between the two calls; then the file is locked or gone, and the next
            // will do.
            if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err()
                || file.metadata().map_or(0, |about| about.nlink()) == 0
            {
                continue;
            }
            make(&path)?;
            return Ok(Self { path, lock: Some(file) });
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file that says whose folder it is.
    pub(crate) fn lock_path(&self) -> PathBuf {
        lock_path(&self.path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        remove(&self.path);
        self.lock = None;
    }
}

/// Makes a folder that every account may look into, whatever the umask.
pub(crate) fn make(path: &Path) -> Result<(), ServerError> {
    fs::create_dir_all(path).map_err(|error| ServerError::at("create", path, error))?;
    fs::set_permissions(path, Permissions::from_mode(0o755))
        .map_err(|error| ServerError::at("open to all accounts", path, error))
}

/// The folder of all folders of this account.
pub(crate) fn base() -> Result<PathBuf, ServerError> {
    let uid = rustix::process::getuid().as_raw();
    let base = env::temp_dir().join(format!("gristmill-testserver-{uid}"));
    if !base.is_dir() {
        make(&base)?;
    }
    let owner = fs::symlink_metadata(&base).map_err(|error| ServerError::at("look at", &base, error))?.uid();
    if owner != uid {
        return Err(ServerError::new(format!("{} belongs to somebody else", base.display())));
    }
    Ok(base)
}

fn lock_path(folder: &Path) -> PathBuf {
    folder.with_extension("lock")
}

/// Removes the folders whose owners are gone. What cannot be removed is left to the next sweep.
fn sweep(base: &Path, end_of: fn(&Path)) {
    let Ok(entries) = fs::read_dir(base) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.extension().is_some_and(|extension| extension == "lock") {
            let Ok(file) = File::open(&path) else { continue };
            if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                let folder = path.with_extension("");
                end_of(&folder);
                remove(&folder);
            }
        }
    }
}

/// Removes a folder, then its lock. In the other order a crash in between would leave a folder that no sweep
/// finds.
fn remove(folder: &Path) {
    let removed = fs::remove_dir_all(folder);
    if removed.is_ok() || !folder.exists() {
        let _ = fs::remove_file(lock_path(folder));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_of_a_dead_owner_is_swept_and_that_of_a_living_one_is_not() {
        let mine = Folder::new(|_| {}).unwrap();
        let base = mine.path().join("base");
        make(&base).unwrap();
        let (dead, living) = (base.join("1-1"), base.join("1-2"));
        for folder in [&dead, &living] {
            make(folder).unwrap();
            File::create(lock_path(folder)).unwrap();
        }
        let lock = File::open(lock_path(&living)).unwrap();
        flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
        sweep(&base, |_| {});
        assert!(!dead.exists() && !lock_path(&dead).exists());
        assert!(living.exists() && lock_path(&living).exists());
    }

    #[test]
    fn dropped_folder_is_gone() {
        let folder = Folder::new(|_| {}).unwrap();
        let path = folder.path().to_owned();
        assert!(path.is_dir());
        drop(folder);
        assert!(!path.exists() && !lock_path(&path).exists());
    }
}
