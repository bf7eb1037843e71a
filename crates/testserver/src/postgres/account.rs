//! Whose process the server is: PostgreSQL refuses to run as root.

use std::{
    os::unix::{fs::chown, process::CommandExt},
    path::Path,
    process::Command,
};

use crate::error::{ServerError, output_of};

/// The accounts that root may choose from: that of the package, then one that exists everywhere.
const NAMES: &[&str] = &["postgres", "nobody"];

/// The account that a server's processes and files belong to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Account {
    /// The one that runs the tests.
    Own,
    /// Another one; only root can choose it.
    Other { uid: u32, gid: u32 },
}

impl Account {
    /// An account that the server accepts.
    pub(crate) fn find() -> Result<Self, ServerError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Own);
        }
        NAMES
            .iter()
            .find_map(|name| Some(Self::Other { uid: id("-u", name)?, gid: id("-g", name)? }))
            .ok_or_else(|| {
                ServerError::new("PostgreSQL does not run as root, and there is no account for it")
                    .with_hint("useradd --system postgres")
            })
    }

    /// Lets `command` run under this account.
    pub(crate) fn apply(self, command: &mut Command) {
        if let Self::Other { uid, gid } = self {
            // As root this also drops the supplementary groups, see `CommandExt::uid`.
            command.uid(uid).gid(gid);
        }
    }

    /// Gives `path` to this account.
    pub(crate) fn own(self, path: &Path) -> Result<(), ServerError> {
        match self {
            Self::Own => Ok(()),
            Self::Other { uid, gid } => {
                chown(path, Some(uid), Some(gid)).map_err(|error| ServerError::at("give away", path, error))
            }
        }
    }
}

/// A number of the account `name`; none if there is no such account.
fn id(which: &str, name: &str) -> Option<u32> {
    output_of(Command::new("id").args([which, name])).ok()?.trim().parse().ok()
}
