//! Which program runs each kind.

use std::collections::BTreeMap;
use std::path::Path;

use super::Work;
use crate::config::{CommandLine, WorkConfig};
use crate::exec::{self, Program};
use crate::failure::{Failure, Result};
use crate::setup::Setup;

impl Work {
    /// Flags win over the file, kind by kind.
    pub(super) fn programs(&self, setup: &Setup) -> Result<BTreeMap<String, Program>> {
        let file = &setup.work;
        let grace = self.grace(file);
        let without: Vec<String> = self.without_env.iter().chain(&file.without_env).cloned().collect();
        let program = |words, timeout| Program { words, timeout, grace, without: without.clone() };
        if let Some(name) = without.iter().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
            return Err(Failure::usage(format!("`{}` is not a name of a variable", name.escape_debug()))
                .hint("write the name alone, as in `--without-env GRISTMILL_DB`"));
        }
        let mut programs = BTreeMap::new();
        for (kind, handler) in &file.handlers {
            let mut words = match &handler.exec {
                CommandLine::Text(text) => exec::split(text)?,
                CommandLine::Words(words) if words.first().is_none_or(String::is_empty) => {
                    return Err(Failure::usage(format!("the command of kind `{kind}` is empty")));
                }
                CommandLine::Words(words) => words.clone(),
            };
            if words.iter().any(|word| word.contains('\0')) {
                return Err(Failure::usage(format!("the command of kind `{kind}` holds a NUL character"))
                    .hint("no program can be given one: leave it out of `exec`"));
            }
            if let Some(folder) = &setup.folder {
                words[0] = relative_to(folder, &words[0])?;
            }
            programs.insert(kind.clone(), program(words, handler.timeout));
        }
        let mut flagged = BTreeMap::new();
        for (kind, command) in &self.exec {
            if flagged.insert(kind.clone(), program(exec::split(command)?, None)).is_some() {
                return Err(Failure::usage(format!("kind `{kind}` is given twice")));
            }
        }
        programs.extend(flagged);
        if programs.is_empty() {
            return Err(Failure::usage("no kind is given to work on")
                .hint("add --exec KIND=CMD, or [work.handlers.KIND] in gristmill.toml"));
        }
        for program in programs.values() {
            exec::find(&program.words[0])?;
        }
        Ok(programs)
    }

    /// Whether a program of the file runs a kind.
    pub(super) fn runs_programs_of(&self, file: &WorkConfig) -> bool {
        file.handlers.keys().any(|kind| self.exec.iter().all(|(flagged, _)| flagged != kind))
    }
}

/// A path in the file means the same wherever the command is started: in a folder of another user it must not
/// mean that user's program. A name without a slash is looked up in PATH.
fn relative_to(folder: &Path, program: &str) -> Result<String> {
    if !program.contains('/') || program.starts_with('/') {
        return Ok(program.to_owned());
    }
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let folder = std::path::absolute(folder).map_err(|error| Failure::io(folder.display(), &error))?;
    let path = folder.join(program).into_os_string().into_string();
    path.map_err(|path| Failure::usage(format!("{} is not UTF-8", path.display())))
}
