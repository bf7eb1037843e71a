//! Packages of other languages, for the outbox's examples in them.
//!
//! Each language has a folder in `languages` in the target folder, so `cargo clean` removes them. A language
//! whose toolchain is not on the machine is passed over, which its test says again.

use std::{
    fs,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// How long one command of an installation may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// Written last: what was installed, and with what.
const STAMP: &str = "installed";

/// A language that an example is written in.
#[derive(Clone, Copy, Debug)]
struct Language {
    /// Its folder below `outbox/languages`.
    name: &'static str,
    /// The programs it needs, as they are asked for their version.
    toolchain: &'static [&'static str],
    /// The files of that folder which say what to install.
    files: &'static [&'static str],
    /// What installs it, run one after the other in the language's folder below the target folder, which
    /// `{folder}` names.
    commands: &'static [&'static str],
}

const LANGUAGES: &[Language] = &[
    Language {
        name: "python",
        toolchain: &["python3 --version"],
        files: &["requirements.txt"],
        commands: &[
            "python3 -m venv {folder}/venv",
            "{folder}/venv/bin/python -m pip install --quiet --only-binary :all: --requirement requirements.txt",
        ],
    },
    Language {
        name: "go",
        toolchain: &["go version"],
        files: &["go.mod", "go.sum"],
        // Without the flag, the folder could not be deleted.
        commands: &["env GOMODCACHE={folder}/modules GOTOOLCHAIN=local go mod download -modcacherw"],
    },
    Language {
        name: "node",
        toolchain: &["node --version", "npm --version"],
        files: &["package.json", "package-lock.json"],
        commands: &["npm ci --no-audit --no-fund --ignore-scripts"],
    },
];

/// Installs what is missing of each language that the machine has, and says what is there.
pub(crate) fn ensure() -> Result<()> {
    let root = workspace::root();
    for language in LANGUAGES {
        let from = root.join("outbox/languages").join(language.name);
        let folder = workspace::target_folder(&root).join("languages").join(language.name);
        match versions(language) {
            Ok(versions) => {
                install(language, &from, &folder, &versions)?;
                println!("languages: {} in {}", versions.join(", "), folder.display());
            }
            Err(program) => {
                println!(
                    "languages: `{program}` does not run; the example in {} will not be run",
                    language.name
                );
            }
        }
    }
    Ok(())
}

/// What the toolchain says of itself; the first program that does not run is the error.
fn versions(language: &Language) -> Result<Vec<String>, &'static str> {
    let ask = |call: &&'static str| {
        let (program, argument) = call.split_once(' ').unwrap_or((call, ""));
        let output = Command::new(program).arg(argument).stderr(Stdio::null()).output();
        let output = output.ok().filter(|output| output.status.success()).ok_or(program)?;
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        // npm says only the number.
        Ok(if version.contains(program) || version.contains(' ') {
            version
        } else {
            format!("{program} {version}")
        })
    };
    language.toolchain.iter().map(ask).collect()
}

/// Makes `folder` anew unless it holds just that already.
fn install(language: &Language, from: &Path, folder: &Path, versions: &[String]) -> Result<()> {
    let mut stamp = versions.join("\n") + "\n";
    for name in language.files {
        let path = from.join(name);
        stamp += &fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    }
    if fs::read_to_string(folder.join(STAMP)).is_ok_and(|installed| installed == stamp) {
        return Ok(());
    }
    let remade = remake(folder).and_then(|()| {
        language.files.iter().try_for_each(|name| fs::copy(from.join(name), folder.join(name)).map(drop))
    });
    remade.with_context(|| format!("cannot make {}", folder.display()))?;
    for words in language.commands {
        call(&words_of(words, folder), folder)?;
    }
    fs::write(folder.join(STAMP), stamp).with_context(|| format!("cannot write to {}", folder.display()))
}

fn remake(folder: &Path) -> std::io::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)
}

/// The words of a command line that has none with spaces but perhaps the folder.
fn words_of(line: &str, folder: &Path) -> Vec<String> {
    line.split(' ').map(|word| word.replace("{folder}", &folder.display().to_string())).collect()
}

fn call(words: &[String], folder: &Path) -> Result<()> {
    let line = format!("(cd {} && {})", folder.display(), words.join(" "));
    println!("languages: {line}");
    let (program, arguments) = words.split_first().context("a command has a first word")?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    let mut child = command.spawn().with_context(|| format!("cannot start `{program}`"))?;
    match wait(&mut child)? {
        Some(status) if status.success() => Ok(()),
        Some(_) => bail!("the packages could not be installed; repeat it with: {line}"),
        None => bail!("the packages were not installed in {PATIENCE:?}; repeat it with: {line}"),
    }
}

/// Waits for the end of a process; none if it was not there in time, and the process was killed.
#[expect(clippy::disallowed_methods, reason = "a process can be waited for without a bound, or asked again")]
fn wait(child: &mut Child) -> Result<Option<ExitStatus>> {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().context("cannot wait for the installation")? {
            return Ok(Some(status));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    // It may end by itself in between, which is as good.
    let _ = child.kill();
    child.wait().context("cannot wait for the installation")?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHELL: Language = Language {
        name: "shell",
        toolchain: &["true --version"],
        files: &["list"],
        commands: &["cp list {folder}/copy"],
    };

    fn scratch(name: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("gristmill-languages-{name}-{}", std::process::id()));
        remake(&folder.join("from")).unwrap();
        fs::write(folder.join("from/list"), "a package\n").unwrap();
        folder
    }

    #[test]
    fn every_file_that_says_what_to_install_is_there() {
        for language in LANGUAGES {
            for name in language.files {
                let path = workspace::root().join("outbox/languages").join(language.name).join(name);
                let text = fs::read_to_string(&path).unwrap();
                assert!(!text.contains("://"), "{} names a host", path.display());
            }
        }
    }

    #[test]
    fn program_that_is_not_there_is_named() {
        let language =
            Language { toolchain: &["true --version", "gristmill-no-such-program --version"], ..SHELL };
        assert_eq!(versions(&language), Err("gristmill-no-such-program"));
        assert!(versions(&SHELL).is_ok());
    }

    #[test]
    fn installation_happens_once_for_the_same_files() {
        let scratch = scratch("once");
        let (from, folder) = (scratch.join("from"), scratch.join("to"));
        let install = |version: &str| install(&SHELL, &from, &folder, &[version.to_owned()]).unwrap();
        install("1");
        fs::remove_file(folder.join("copy")).unwrap();
        install("1");
        assert!(!folder.join("copy").exists(), "it was installed again");
        install("2");
        fs::write(from.join("list"), "another package\n").unwrap();
        install("2");
        let copy = fs::read_to_string(folder.join("copy")).unwrap();
        fs::remove_dir_all(&scratch).unwrap();
        assert_eq!(copy, "another package\n");
    }

    #[test]
    fn failure_names_the_command_and_is_not_taken_for_an_installation() {
        let scratch = scratch("failure");
        let language = Language { commands: &["false {folder}/x"], ..SHELL };
        let folder = scratch.join("to");
        let error = install(&language, &scratch.join("from"), &folder, &[]).unwrap_err();
        let stamped = folder.join(STAMP).exists();
        fs::remove_dir_all(&scratch).unwrap();
        assert!(error.to_string().contains(&format!("false {}/x", folder.display())), "{error}");
        assert!(!stamped);
    }
}
