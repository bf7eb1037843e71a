//! Whether a file that was found, and not named, may be believed.
//!
//! A configuration file names programs to run and the store they get their jobs from. One that lies in a
//! folder above by chance must be as trustworthy as the user who starts the command: it belongs to that user
//! or to root, others may not write to it, and others may not put another one in its place.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// All users may write.
const OTHERS_WRITE: u32 = 0o002;
const GROUP_WRITES: u32 = 0o020;
/// In such a folder only its owner may remove or rename a file.
const STICKY: u32 = 0o1000;

/// Why a file that was found is not believed; `None` when it is. `file` is the open file at `path`, so that
/// it cannot be exchanged between this look and the reading.
pub(crate) fn distrust(path: &Path, file: &File) -> Option<String> {
    let own = rustix::process::geteuid().as_raw();
    let unreadable = |error: std::io::Error| format!("it cannot be examined: {error}");
    let (link, metadata) = match (path.symlink_metadata(), file.metadata()) {
        (Ok(link), Ok(metadata)) => (link, metadata),
        (Err(error), _) | (_, Err(error)) => return Some(unreadable(error)),
    };
    if let Some(why) = owner(&metadata, own).or_else(|| writers(&metadata)) {
        return Some(format!("it {why}"));
    }
    // A link may be another user's although what it points to is not.
    if let Some(why) = owner(&link, own) {
        return Some(format!("the link to it {why}"));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match folder.metadata() {
        Err(error) => Some(unreadable(error)),
        Ok(folder) => {
            let replaceable = || writers(&folder).filter(|_| folder.mode() & STICKY == 0);
            owner(&folder, own).or_else(replaceable).map(|why| format!("its folder {why}"))
        }
    }
}

fn owner(metadata: &Metadata, own: u32) -> Option<String> {
    let owner = metadata.uid();
    (owner != own && owner != 0).then(|| format!("belongs to another user (uid {owner})"))
}

/// A group that has the number of its user is, by convention, that user's alone; group 0 is root's.
fn writers(metadata: &Metadata) -> Option<String> {
    let group = metadata.gid();
    let is_private = group == metadata.uid() || group == 0;
    if metadata.mode() & OTHERS_WRITE != 0 {
        Some("may be written by every user".to_owned())
    } else if metadata.mode() & GROUP_WRITES != 0 && !is_private {
        Some(format!("may be written by a group (gid {group})"))
    } else {
        None
    }
}
