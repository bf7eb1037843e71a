//! Real files to work on.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// The paths of `count` regular files below `/usr`; where there are fewer, the rest is made in `folder`.
///
/// # Panics
/// When files cannot be made.
pub fn real_files(count: usize, folder: &Path) -> Vec<String> {
    let mut files = below(Path::new("/usr"), count);
    let made = folder.join("made");
    std::fs::create_dir_all(&made).expect("a folder");
    for number in files.len()..count {
        let path = made.join(format!("{number}.txt"));
        std::fs::write(&path, format!("file {number}\n")).expect("a file");
        files.push(path.display().to_string());
    }
    files
}

/// Up to `count` files whose paths need no escaping, smaller than a megabyte, links not followed.
fn below(top: &Path, count: usize) -> Vec<String> {
    let mut folders = VecDeque::from([top.to_owned()]);
    let mut files = Vec::new();
    while let Some(folder) = folders.pop_front() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        let mut paths: Vec<PathBuf> =
            entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
        paths.sort();
        for path in paths {
            let Ok(about) = path.symlink_metadata() else { continue };
            if about.is_dir() {
                folders.push_back(path);
            } else if about.is_file() && about.len() < 1 << 20 {
                files.extend(plain(&path));
                if files.len() == count {
                    return files;
                }
            }
        }
    }
    files
}

fn plain(path: &Path) -> Option<String> {
    let text = path.to_str()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+".contains(&byte);
    text.bytes().all(plain).then(|| text.to_owned())
}
