//! Where the workspace lies and which packages it has.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

/// One member of the workspace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Package {
    /// The package's name, `gristmill-sqlite`.
    pub(crate) name: String,
    /// Its folder, relative to the root, with forward slashes: `crates/sqlite`.
    pub(crate) folder: String,
}

impl Package {
    /// The last part of the folder's path, by which people call it.
    pub(crate) fn short_name(&self) -> &str {
        self.folder.rsplit('/').next().unwrap_or(&self.folder)
    }
}

/// The folder that holds the workspace's `Cargo.toml`.
pub(crate) fn root() -> PathBuf {
    let here =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    here.parent().map(Path::to_path_buf).unwrap_or(here)
}

/// The members of the workspace at `root`, by folder.
pub(crate) fn packages(root: &Path) -> Result<Vec<Package>> {
    let mut folders = vec!["xtask".to_owned(), "tests/system".to_owned(), "examples".to_owned()];
    for entry in fs::read_dir(root.join("crates")).context("cannot list the folder `crates`")? {
        folders.push(format!("crates/{}", entry?.file_name().to_string_lossy()));
    }
    folders.sort();
    let mut packages = Vec::new();
    for folder in folders {
        let manifest = root.join(&folder).join("Cargo.toml");
        if manifest.is_file() {
            let name = package_name(&read_toml(&manifest)?)
                .with_context(|| format!("{} has no package name", manifest.display()))?;
            packages.push(Package { name, folder });
        }
    }
    Ok(packages)
}

/// The cargo that runs this program, so that one toolchain does everything.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// The folder into which cargo builds the workspace.
pub(crate) fn target_folder(root: &Path) -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root.join(folder),
        None => root.join("target"),
    }
}

/// Reads and parses one TOML file.
pub(crate) fn read_toml(path: &Path) -> Result<toml::Table> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.parse().with_context(|| format!("{} is not valid TOML", path.display()))
}

fn package_name(manifest: &toml::Table) -> Option<String> {
    Some(manifest.get("package")?.get("name")?.as_str()?.to_owned())
}
