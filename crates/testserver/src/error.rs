//! What keeps a server from running.

use std::{error::Error, fmt, io, path::Path, process::Command};

/// A server could not be started or asked. The text names the thing that is missing or broken; [`hint`] says
/// what to do about it, where that is known.
///
/// [`hint`]: ServerError::hint
#[derive(Debug)]
pub struct ServerError {
    what: String,
    hint: Option<String>,
    source: Option<io::Error>,
}

impl ServerError {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: None, source: None }
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn at(what: &str, path: &Path, source: io::Error) -> Self {
        Self { what: format!("cannot {what} {}", path.display()), hint: None, source: Some(source) }
    }

    pub(crate) fn starting(command: &Command, source: io::Error) -> Self {
        let program = command.get_program().to_string_lossy();
        Self { what: format!("cannot run {program}"), hint: None, source: Some(source) }
    }

    /// What to do about it: usually a command to run.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Panics with everything that is known, for callers that are tests.
    pub(crate) fn panic(&self) -> ! {
        let source = self.source.as_ref().map(|source| format!(": {source}")).unwrap_or_default();
        let hint = self.hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
        panic!("{self}{source}{hint}")
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.what)
    }
}

impl Error for ServerError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source as &(dyn Error + 'static))
    }
}

/// Runs `command` to its end and gives what it printed; an error holds what it complained about.
pub(crate) fn output_of(command: &mut Command) -> Result<String, ServerError> {
    let output = command.output().map_err(|source| ServerError::starting(command, source))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let program = command.get_program().to_string_lossy();
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(ServerError::new(format!("{program} failed ({}): {}", output.status, complaint.trim())))
}
