//! A command line into words, and a program to its file.

use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};

/// Splits as a POSIX shell would, quotes and backslashes included; no variables, globs, pipes: for those give
/// `sh -c '…'`.
pub(crate) fn split(text: &str) -> Result<Vec<String>> {
    match shlex::split(text) {
        None => Err(Failure::usage(format!("a quote is not closed in `{}`", text.escape_debug()))),
        Some(words) if words.is_empty() => Err(Failure::usage("the command is empty")),
        Some(words) => Ok(words),
    }
}

/// The file of a program, so that a missing one is told before any job is fetched.
pub(crate) fn find(program: &str) -> Result<PathBuf> {
    let missing = || {
        Failure::usage(format!("there is no program `{}`", program.escape_debug()))
            .hint("give a path, or a name that is found in PATH; for a shell's syntax write `sh -c '…'`")
    };
    let path = Path::new(program);
    if program.contains('/') {
        return if path.is_file() { Ok(path.to_owned()) } else { Err(missing()) };
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders)
        .map(|folder| folder.join(path))
        .find(|file| file.is_file())
        .ok_or_else(missing)
}

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
        assert!(find("no-such-program-at-all").is_err() && find("./no/such").is_err());
    }
}
