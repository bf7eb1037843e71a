//! Finds the files below a folder.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What stands for a folder whatever it is called: device and inode.
type Identity = (u64, u64);

/// Walks a tree, one folder in memory at a time. It follows no links, stays on one file system (below `/` lie
/// `/proc` and worse), and does not look into the folder of the demo's own store: opening and closing a
/// database's file beside SQLite would drop SQLite's locks on it.
pub(super) struct Files {
    folders: Vec<PathBuf>,
    entries: Option<fs::ReadDir>,
    device: u64,
    own: Option<Identity>,
}

impl Files {
    /// # Errors
    /// When there is no such folder.
    pub(super) fn below(root: &Path, own: &Path) -> std::io::Result<Self> {
        let metadata = fs::metadata(root)?;
        if !metadata.is_dir() {
            return Err(std::io::Error::new(std::io::ErrorKind::NotADirectory, "it is no folder"));
        }
        let own = fs::metadata(own).ok().map(|metadata| identity(&metadata));
        Ok(Self { folders: vec![root.to_owned()], entries: None, device: metadata.dev(), own })
    }

    /// Whether a folder is walked.
    fn enters(&self, metadata: &Metadata) -> bool {
        metadata.dev() == self.device && Some(identity(metadata)) != self.own
    }
}

impl Iterator for Files {
    type Item = PathBuf;

    /// The next path that a job shall look at: a file of any sort, or a folder that cannot be read.
    fn next(&mut self) -> Option<PathBuf> {
        loop {
            let Some(entry) = self.entries.as_mut().and_then(Iterator::next) else {
                let folder = self.folders.pop()?;
                match fs::read_dir(&folder) {
                    Ok(entries) => self.entries = Some(entries),
                    // The job says why.
                    Err(_) => return Some(folder),
                }
                continue;
            };
            // An entry that vanished meanwhile is none.
            let Ok(entry) = entry else { continue };
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                if self.enters(&metadata) {
                    self.folders.push(entry.path());
                }
            } else if !metadata.is_symlink() {
                return Some(entry.path());
            }
        }
    }
}

fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_found_once_and_no_link_is_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        for path in ["a/b", "own", "empty"] {
            fs::create_dir_all(root.join(path)).expect("made");
        }
        for path in ["x", "a/y", "a/b/z", "own/jobs.db"] {
            fs::write(root.join(path), path).expect("written");
        }
        std::os::unix::fs::symlink(root, root.join("a/loop")).expect("linked");
        std::os::unix::fs::symlink("x", root.join("link")).expect("linked");
        let mut found: Vec<_> = Files::below(root, &root.join("own")).expect("a folder").collect();
        found.sort();
        assert_eq!(found, [root.join("a/b/z"), root.join("a/y"), root.join("x")]);
        assert!(Files::below(&root.join("x"), root).is_err());
    }
}
