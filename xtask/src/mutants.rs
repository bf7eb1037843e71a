//! `cargo xtask mutants`: breaks one line at a time and reports which breaks no test notices.
//!
//! A long suite of its own: every mutant is a build and a run of tests, so a room takes from minutes to
//! hours. It is run before a release and by hand, never by `ci`.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::{
    arguments::{Arguments, UsageError, unknown},
    commands::Verdict,
    servers, step, workspace,
};

/// The version that the options below were written for.
const VERSION: &str = "27.1.0";
/// A mutant that hangs the tests counts as caught after this long, in seconds.
const LONGEST_TESTS: &str = "300";

/// A part of the code that decides, and the packages whose tests must notice when it decides wrongly.
struct Room {
    name: &'static str,
    files: &'static [&'static str],
    tests: &'static [&'static str],
    needs_servers: bool,
}

const ROOMS: &[Room] = &[
    Room {
        name: "core",
        files: &["crates/core/src/**/*.rs"],
        tests: &["gristmill-core", "gristmill-memory"],
        needs_servers: false,
    },
    Room {
        name: "engine",
        files: &["crates/engine/src/*.rs", "crates/engine/src/worker/**/*.rs"],
        tests: &["gristmill-engine"],
        needs_servers: false,
    },
    Room {
        name: "memory",
        files: &["crates/memory/src/**/*.rs"],
        tests: &["gristmill-memory"],
        needs_servers: false,
    },
    Room {
        name: "sqlite",
        files: &["crates/sqlite/src/**/*.rs"],
        tests: &["gristmill-sqlite"],
        needs_servers: false,
    },
    Room {
        name: "postgres",
        files: &[
            "crates/postgres/src/cursor.rs",
            "crates/postgres/src/end/**/*.rs",
            "crates/postgres/src/fetch/**/*.rs",
            "crates/postgres/src/finish/**/*.rs",
            "crates/postgres/src/operate/**/*.rs",
            "crates/postgres/src/{end,finish,lease,locate,member,operate,partition,place,prune,rescue,row,sweep}.rs",
        ],
        tests: &["gristmill-postgres"],
        needs_servers: true,
    },
];

/// What the command line says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    rooms: Vec<String>,
    /// Only lines that changed since this commit.
    since: Option<String>,
    /// Only the K-th of N parts, `K/N`, K from 0.
    shard: Option<String>,
    list: bool,
}

impl Options {
    fn read(arguments: &[String]) -> Result<Self> {
        let mut options = Self::default();
        let mut arguments = Arguments::new(arguments);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--since" => options.since = Some(arguments.value("--since")?),
                "--shard" => options.shard = Some(arguments.value("--shard")?),
                "--list" => options.list = true,
                flag if flag.starts_with('-') => return Err(unknown(flag)),
                name if ROOMS.iter().any(|room| room.name == name) => options.rooms.push(argument),
                name => {
                    let names: Vec<&str> = ROOMS.iter().map(|room| room.name).collect();
                    return Err(
                        UsageError(format!("no room `{name}`; there are {}", names.join(", "))).into()
                    );
                }
            }
        }
        Ok(options)
    }

    fn includes(&self, room: &Room) -> bool {
        self.rooms.is_empty() || self.rooms.iter().any(|name| name == room.name)
    }
}

/// Mutates the rooms that `arguments` name, or all. Fails if a mutant survives.
pub(crate) fn run(arguments: &[String]) -> Result<Verdict> {
    let options = Options::read(arguments)?;
    let root = workspace::root();
    let scratch = workspace::target_folder(&root).join("mutants");
    fs::create_dir_all(&scratch).with_context(|| format!("cannot make {}", scratch.display()))?;
    let path = path_with_tool(&root)?;
    let diff = options.since.as_deref().map(|commit| write_diff(&root, &scratch, commit)).transpose()?;
    let mut verdict = Verdict::Passed;
    for room in ROOMS.iter().filter(|room| options.includes(room)) {
        if room.needs_servers && !options.list {
            servers::ensure()?;
        }
        println!("== mutants of {}, tested by {}", room.name, room.tests.join(", "));
        let mut command = workspace::cargo(&root);
        command
            .args(arguments_of(room, &options, &scratch.join(room.name), diff.as_deref()))
            .env("PATH", &path);
        let code = command.status().context("cannot start `cargo mutants`")?.code();
        match code {
            Some(0) => {}
            // 2 is a survivor, 3 a mutant that ran into the time limit.
            Some(2 | 3) => verdict = Verdict::Failed,
            _ => bail!(
                "`cargo mutants` did not finish; its log is below {}",
                scratch.join(room.name).display()
            ),
        }
    }
    Ok(verdict)
}

fn arguments_of(room: &Room, options: &Options, output: &Path, diff: Option<&Path>) -> Vec<OsString> {
    let mut line: Vec<OsString> = vec!["mutants".into(), "--workspace".into(), "--no-shuffle".into()];
    if options.list {
        line.push("--list".into());
    }
    for file in room.files {
        line.extend(["--file".into(), file.into()]);
    }
    line.extend(["--test-package".into(), room.tests.join(",").into()]);
    line.extend(["--timeout".into(), LONGEST_TESTS.into(), "--output".into(), output.into()]);
    if let Some(shard) = &options.shard {
        line.extend(["--shard".into(), shard.into()]);
    }
    if let Some(diff) = diff {
        line.extend(["--in-diff".into(), diff.into()]);
    }
    line
}

/// The search path with `cargo-mutants` in it, which is installed below the target folder where it is
/// missing.
fn path_with_tool(root: &Path) -> Result<OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    let tools = workspace::target_folder(root).join("tools");
    let with_tools = env::join_paths([tools.join("bin")].into_iter().chain(env::split_paths(&path)))
        .context("the search path cannot be extended")?;
    let mut probe = Command::new("cargo-mutants");
    probe.args(["mutants", "--version"]).env("PATH", &with_tools).stdout(Stdio::null()).stderr(Stdio::null());
    if probe.status().is_ok_and(|status| status.success()) {
        return Ok(with_tools);
    }
    eprintln!("installing cargo-mutants {VERSION} below {}", tools.display());
    let mut install = workspace::cargo(root);
    install.args(["install", "cargo-mutants", "--locked", "--version", VERSION, "--root"]).arg(&tools);
    if !step::succeeded(&mut install)? {
        bail!(
            "cargo-mutants cannot be installed; try: cargo install cargo-mutants --locked --version {VERSION}"
        );
    }
    Ok(with_tools)
}

fn write_diff(root: &Path, scratch: &Path, commit: &str) -> Result<PathBuf> {
    let output = Command::new("git")
        .current_dir(root)
        .args(["diff", commit, "--", "crates"])
        .output()
        .context("cannot start `git`")?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(UsageError(format!("`--since {commit}`: {message}")).into());
    }
    let file = scratch.join("since.diff");
    fs::write(&file, output.stdout).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options> {
        Options::read(&line.split_whitespace().map(str::to_owned).collect::<Vec<String>>())
    }

    #[test]
    fn rooms_are_named_and_unknown_ones_refused() {
        let options = read("core sqlite --since HEAD~3 --shard 0/8").unwrap();
        assert_eq!(options.rooms, ["core", "sqlite"]);
        assert_eq!((options.since.as_deref(), options.shard.as_deref()), (Some("HEAD~3"), Some("0/8")));
        let included: Vec<&str> =
            ROOMS.iter().filter(|room| options.includes(room)).map(|room| room.name).collect();
        assert_eq!(included, ["core", "sqlite"]);
        assert!(ROOMS.iter().all(|room| Options::default().includes(room)));
        assert!(read("cellar").unwrap_err().to_string().contains("there are core, engine"));
    }

    #[test]
    fn every_room_has_its_files_and_test_packages() {
        let root = workspace::root();
        let packages = workspace::packages(&root).unwrap();
        for room in ROOMS {
            for test in room.tests {
                assert!(packages.iter().any(|package| package.name == *test), "{}: {test}", room.name);
            }
            for file in room.files {
                let folder = file.split(['*', '{']).next().unwrap_or_default();
                assert!(root.join(folder).exists(), "{}: {file}", room.name);
            }
        }
    }
}
