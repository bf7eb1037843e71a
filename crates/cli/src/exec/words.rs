//! A command line into words, and a program to its file.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};

/// Splits as a POSIX shell would, quotes and backslashes included; no variables, globs, pipes: for those give
/// `sh -c '…'`.
pub(crate) fn split(text: &str) -> Result<Vec<String>> {
    match shlex::split(text) {
        None => Err(Failure::usage(format!("a quote is not closed in `{text}`"))),
        Some(words) if words.first().is_none_or(String::is_empty) => {
            Err(Failure::usage("the command is empty")
                .hint("write it as KIND=CMD, as in `checksum=sha256sum`"))
        }
        Some(words) => Ok(words),
    }
}

/// The file of a program. A missing one is reported before any job is fetched.
pub(crate) fn find(program: &str) -> Result<PathBuf> {
    let path = Path::new(program);
    if program.contains('/') && path.is_file() {
        if !may_run(path) {
            return Err(Failure::usage(format!("`{program}` may not be executed"))
                .hint(format!("run `chmod +x {program}`, or name its interpreter, as in `sh {program}`")));
        }
        return match missing_interpreter(path) {
            None => Ok(path.to_owned()),
            Some(interpreter) => {
                let message = format!("`{program}` is a script for `{interpreter}`, which is not there");
                Err(Failure::usage(message).hint("install it, or correct the first line of the script"))
            }
        };
    }
    let folders = std::env::var_os("PATH").filter(|_| !program.contains('/')).unwrap_or_default();
    std::env::split_paths(&folders)
        .map(|folder| folder.join(path))
        .find(|file| file.is_file() && may_run(file))
        .ok_or_else(|| {
            Failure::usage(format!("there is no program `{program}`"))
                .hint("give a path, or a name that is found in PATH; for a shell's syntax write `sh -c '…'`")
        })
}

/// Whether any user may run it. Only an attempt shows whether this user may.
fn may_run(file: &Path) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0)
}

/// The interpreter that the first line of a script names, if there is none at that path.
fn missing_interpreter(script: &Path) -> Option<String> {
    let mut start = Vec::new();
    // What cannot be read may still be run.
    File::open(script).ok()?.take(LONGEST_LINE).read_to_end(&mut start).ok()?;
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let interpreter = String::from_utf8_lossy(line).split_whitespace().next()?.to_owned();
    (interpreter.starts_with('/') && !Path::new(&interpreter).exists()).then_some(interpreter)
}

/// The system reads no more of a first line.
const LONGEST_LINE: u64 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_a_shell_would() {
        assert_eq!(split(r#"sh -c 'a "b"; c' d\ e"#).expect("split"), ["sh", "-c", r#"a "b"; c"#, "d e"]);
        assert!(split("  ").is_err() && split("a 'b").is_err());
    }

    #[test]
    fn a_missing_program_is_told() {
        assert!(find("sh").is_ok());
        assert!(
            find("/etc/passwd").is_err_and(|failure| failure.to_string().contains("may not be executed"))
        );
        assert!(find("no-such-program-at-all").is_err() && find("./no/such").is_err());
    }
}
