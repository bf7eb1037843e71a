//! An earlier commit of this repository, checked out beside it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::{arguments::UsageError, step, workspace};

/// The folder that holds `commit`, in `folder` below the target folder. It is kept, so that a second call
/// builds nothing again.
pub(crate) fn check_out(root: &Path, folder: &str, commit: &str) -> Result<PathBuf> {
    let id = resolve(root, commit)?;
    let folder = workspace::target_folder(root).join(folder).join(&id);
    if folder.join(".git").exists() && resolve(&folder, "HEAD").is_ok_and(|head| head == id) {
        return Ok(folder);
    }
    let mut clone = git(root);
    clone.args(["clone", "--quiet", "--shared", "--no-checkout", "."]).arg(&folder);
    let mut check_out = git(root);
    check_out.arg("-C").arg(&folder).args(["checkout", "--quiet", "--detach", &id]);
    for command in [&mut clone, &mut check_out] {
        if !step::succeeded(command)? {
            bail!("cannot check out {commit} to {}; remove that folder and try again", folder.display());
        }
    }
    Ok(folder)
}

fn resolve(root: &Path, commit: &str) -> Result<String> {
    let mut command = git(root);
    command.args(["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{commit}^{{commit}}")]);
    let output = command.stderr(Stdio::inherit()).output().context("cannot start `git`")?;
    if !output.status.success() {
        let message = format!("`{commit}` is no commit of this repository; `git log --oneline` lists them");
        return Err(UsageError(message).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn git(root: &Path) -> Command {
    let mut command = Command::new("git");
    command.current_dir(root);
    command
}
