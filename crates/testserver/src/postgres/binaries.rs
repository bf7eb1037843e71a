//! Where the server's programs lie.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::error::{ServerError, output_of};

/// Names the folder of the programs, for a version that is not installed as a package.
const FOLDER_VARIABLE: &str = "GRISTMILL_POSTGRES_BIN";
/// Where the packages of Debian and Ubuntu put each major version, `postgresql-common`'s PgCommon.pm.
const DEBIAN_FOLDER: &str = "/usr/lib/postgresql";
/// What a server needs.
const PROGRAMS: &[&str] = &["initdb", "postgres"];
const HINT: &str =
    "apt-get install postgresql (or name the folder of its programs in GRISTMILL_POSTGRES_BIN)";

/// The programs of one PostgreSQL.
///
/// ```
/// let binaries = gristmill_testserver::PostgresBinaries::find()?;
/// println!("PostgreSQL {} in {}", binaries.version(), binaries.folder().display());
/// # Ok::<(), gristmill_testserver::ServerError>(())
/// ```
#[derive(Clone, Debug)]
pub struct PostgresBinaries {
    folder: PathBuf,
    version: String,
}

impl PostgresBinaries {
    /// Finds the programs: in the folder that `GRISTMILL_POSTGRES_BIN` names, else the newest below
    /// `/usr/lib/postgresql`, else the first on the `PATH`.
    ///
    /// # Errors
    /// When there are none, with the command that installs them; or when they do not run.
    pub fn find() -> Result<Self, ServerError> {
        if let Some(folder) = env::var_os(FOLDER_VARIABLE) {
            return Self::in_folder(folder);
        }
        let mut folders = debian_folders(Path::new(DEBIAN_FOLDER));
        folders.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        let folder = folders.into_iter().find(|folder| missing_in(folder).is_none());
        Self::in_folder(folder.ok_or_else(|| {
            ServerError::new(format!("no PostgreSQL server found below {DEBIAN_FOLDER} or on the PATH"))
                .with_hint(HINT)
        })?)
    }

    /// The programs in `folder`.
    ///
    /// # Errors
    /// When one is missing or does not run.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Result<Self, ServerError> {
        let folder = folder.into();
        if let Some(program) = missing_in(&folder) {
            return Err(ServerError::new(format!("no `{program}` in {}", folder.display())).with_hint(HINT));
        }
        let line = output_of(Command::new(folder.join("postgres")).arg("--version"))?;
        Ok(Self { folder, version: parse_version(&line).to_owned() })
    }

    /// The folder they lie in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The server's version as it says it, `15.14`, `17beta1`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The first number of the version, `15`.
    pub fn major(&self) -> u32 {
        let end =
            self.version.find(|character: char| !character.is_ascii_digit()).unwrap_or(self.version.len());
        self.version[..end].parse().unwrap_or(0)
    }

    /// A call of one of the programs that no variable of the caller's environment steers.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.folder.join(program));
        clear_environment(&mut command);
        command
    }

    /// A call of `psql`. Some distributions ship it apart from the server, so it may lie elsewhere.
    pub(crate) fn psql(&self) -> Command {
        match self.folder.join("psql") {
            beside if beside.is_file() => self.command("psql"),
            _ => any_psql(),
        }
    }
}

/// A call of the newest `psql` there is.
pub(crate) fn any_psql() -> Command {
    let found = debian_folders(Path::new(DEBIAN_FOLDER)).into_iter().map(|folder| folder.join("psql"));
    let mut command =
        Command::new(found.into_iter().find(|path| path.is_file()).unwrap_or_else(|| "psql".into()));
    clear_environment(&mut command);
    command
}

/// `PGHOST`, `PGOPTIONS`, `PGDATA` and their like would change what a test means, and so would another
/// language.
fn clear_environment(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"PG") {
            command.env_remove(name);
        }
    }
    command.env("LC_ALL", "C");
}

/// The folders of each major version below `top`, the newest first.
fn debian_folders(top: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(top).into_iter().flatten();
    let mut majors: Vec<u32> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    majors.sort_unstable_by(|left, right| right.cmp(left));
    majors.into_iter().map(|major| top.join(major.to_string()).join("bin")).collect()
}

fn missing_in(folder: &Path) -> Option<&'static str> {
    PROGRAMS.iter().copied().find(|program| !folder.join(program).is_file())
}

/// `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)` is version `15.14`.
fn parse_version(line: &str) -> &str {
    let starts_with_digit = |word: &&str| word.starts_with(|character: char| character.is_ascii_digit());
    line.split_whitespace().find(starts_with_digit).unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_read_as_the_server_says_it() {
        assert_eq!(parse_version("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n"), "15.14");
        assert_eq!(parse_version("postgres (PostgreSQL) 17beta1"), "17beta1");
        let binaries = PostgresBinaries { folder: PathBuf::new(), version: "17beta1".to_owned() };
        assert_eq!(binaries.major(), 17);
    }

    #[test]
    fn newest_version_comes_first() {
        let top = env::temp_dir().join(format!("gristmill-binaries-{}", std::process::id()));
        for major in ["9", "15", "100", "not-a-version"] {
            fs::create_dir_all(top.join(major)).unwrap();
        }
        let folders = debian_folders(&top);
        fs::remove_dir_all(&top).unwrap();
        assert_eq!(folders, ["100", "15", "9"].map(|major| top.join(major).join("bin")));
    }

    #[test]
    fn missing_server_names_the_program_and_the_command() {
        let error = PostgresBinaries::in_folder("/nowhere").unwrap_err();
        assert_eq!(error.to_string(), "no `initdb` in /nowhere");
        assert!(error.hint().unwrap().contains("apt-get install postgresql"));
    }
}
