//! Installs what the peers of Node.js need.

use std::{
    io,
    path::{Path, PathBuf},
    process::Command,
};

/// The oldest version that all of them run on.
const OLDEST: (u32, u32) = (22, 18);

/// The interpreter, or why there is none.
pub(super) type Installed = Result<PathBuf, String>;

/// Installs the packages of the lock file below `folder`, one of which is an interpreter where there is one
/// to install.
pub(super) fn install(folder: &Path) -> Installed {
    let mut npm = Command::new("npm");
    // Whose own output is the table, or JSON.
    npm.current_dir(folder).args(["ci", "--no-audit", "--no-fund", "--prefer-offline"]).stdout(io::stderr());
    let status = npm.status().map_err(|_| "npm is not installed".to_owned())?;
    if !status.success() {
        return Err("npm cannot install it".to_owned());
    }
    let installed = folder.join("node_modules/.bin/node");
    let node = if installed.is_file() { installed } else { PathBuf::from("node") };
    let output =
        Command::new(&node).arg("--version").output().map_err(|_| "node is not installed".to_owned())?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if parse(&version).is_some_and(|version| version >= OLDEST) {
        Ok(node)
    } else {
        let (major, minor) = OLDEST;
        Err(format!("node {version} is older than {major}.{minor}"))
    }
}

/// Major and minor number of `v22.18.0`.
fn parse(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.strip_prefix('v')?.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::{OLDEST, parse};

    #[test]
    fn versions_compare_by_number() {
        assert_eq!(parse("v22.18.0"), Some(OLDEST));
        assert!(parse("v24.2.1") > Some(OLDEST));
        assert!(parse("v22.9.0") < Some(OLDEST));
        assert_eq!(parse("22.18.0"), None);
        assert_eq!(parse(""), None);
    }
}
