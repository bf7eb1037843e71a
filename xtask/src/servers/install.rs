//! Looks for the servers, and installs what is missing where that is allowed.

use std::{
    env, fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use gristmill_testserver::{PgBouncer, PostgresBinaries};

use super::{
    languages,
    plan::{Found, Installation, Plan, Rights, Situation, plan},
};
use crate::{arguments::Arguments, commands::Verdict, step, workspace, workspace::Package};

/// The crate whose users start servers.
const TEST_SERVER: &str = "gristmill-testserver";

/// Makes sure of all servers, and of the packages of other languages.
pub(crate) fn run(arguments: &[String]) -> Result<Verdict> {
    Arguments::new(arguments).finish()?;
    ensure()?;
    languages::ensure()?;
    Ok(Verdict::Passed)
}

/// True if the tests of this package start servers.
pub(crate) fn needed_by(root: &Path, package: &Package) -> Result<bool> {
    if package.name == TEST_SERVER {
        return Ok(true);
    }
    let manifest = workspace::read_toml(&root.join(&package.folder).join("Cargo.toml"))?;
    let uses = |section: &str| {
        let section = manifest.get(section).and_then(toml::Value::as_table);
        section.is_some_and(|dependencies| dependencies.contains_key(TEST_SERVER))
    };
    // xtask asks for the programs and starts none.
    Ok(package.name != "xtask" && (uses("dependencies") || uses("dev-dependencies")))
}

/// Finds each server or installs it, and says which it is.
pub(crate) fn ensure() -> Result<()> {
    let mut found = PostgresBinaries::find();
    let pooler = PgBouncer::version();
    match plan(situation(Found { server: found.is_ok(), pooler: pooler.is_ok() })) {
        Plan::Use => {}
        Plan::Install(installation) => {
            install(&installation)?;
            found = PostgresBinaries::find();
        }
        Plan::Tell(how) => {
            let error = found.err().or(pooler.err()).context("a server that is missing has an error")?;
            bail!("tests need a PostgreSQL server and PgBouncer: {error}\nhint: {how}");
        }
    }
    let binaries = found.context("the PostgreSQL server does not run")?;
    println!("servers: PostgreSQL {} in {}", binaries.version(), binaries.folder().display());
    let pooler = PgBouncer::version().context("PgBouncer does not run")?;
    println!("servers: PgBouncer {pooler} in {}", PgBouncer::find()?.display());
    Ok(())
}

/// Looks at the machine; where the server is there, only at that.
fn situation(found: Found) -> Situation {
    let named = env::var_os("GRISTMILL_POSTGRES_BIN").is_some();
    if found.server && found.pooler {
        return Situation { found, named, apt: false, rights: Rights::User };
    }
    Situation { found, named, apt: is_on_path("apt-get"), rights: rights() }
}

fn rights() -> Rights {
    let quietly = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output()
    };
    if quietly("id", &["-u"]).is_ok_and(|output| output.stdout.trim_ascii() == b"0") {
        Rights::Root
    } else if quietly("sudo", &["-n", "true"]).is_ok_and(|output| output.status.success()) {
        Rights::Sudo
    } else {
        Rights::User
    }
}

fn is_on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .any(|folder| fs::metadata(folder.join(program)).is_ok_and(|about| about.is_file()))
}

fn install(installation: &Installation) -> Result<()> {
    println!("servers: something is missing; installing it");
    let installed = installation.commands.iter().try_for_each(|words| call(words));
    let cleaned = call(&installation.cleanup);
    installed.and(cleaned)
}

fn call(words: &[String]) -> Result<()> {
    let line = line_of(words);
    println!("servers: {line}");
    let (program, arguments) = words.split_first().context("a command has a first word")?;
    if !step::succeeded(Command::new(program).args(arguments).stdin(Stdio::null()))? {
        bail!("the server could not be installed; repeat it with: {line}");
    }
    Ok(())
}

/// The line to type at a shell.
fn line_of(words: &[String]) -> String {
    let quoted = |word: &String| if word.contains(' ') { format!("'{word}'") } else { word.clone() };
    words.iter().map(quoted).collect::<Vec<String>>().join(" ")
}
