//! The default label of a worker.

use std::path::Path;

/// The program and its process, such as `mailer:4711`.
pub(crate) fn default_label() -> String {
    let program = std::env::args_os().next().unwrap_or_default();
    let program = Path::new(&program).file_stem().map(|name| name.to_string_lossy().into_owned());
    format!("{}:{}", program.as_deref().unwrap_or("worker"), std::process::id())
}
