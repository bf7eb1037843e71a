//! Asking a server through `psql`, which needs no driver.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use crate::error::ServerError;

/// Runs `sql` at `url` and gives the rows as plain text: a line a row, `|` between columns, no headings. Each
/// statement is a transaction of its own; the first that fails ends it.
pub(super) fn run(mut psql: Command, url: &str, sql: &str) -> Result<String, ServerError> {
    psql.args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--no-password"]);
    psql.args(["--set", "ON_ERROR_STOP=1", "--dbname", url]);
    psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = psql.spawn().map_err(|source| {
        ServerError::starting(&psql, source).with_hint("apt-get install postgresql-client")
    })?;
    let mut stdin = child.stdin.take().expect("its input is a pipe");
    let text = sql.to_owned();
    // Its output is read at the same time, or both sides could wait for each other.
    let writer = std::thread::spawn(move || drop(stdin.write_all(text.as_bytes())));
    let output = child.wait_with_output().map_err(|source| ServerError::starting(&psql, source))?;
    let _ = writer.join();
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(ServerError::new(format!("psql failed: {}", complaint.trim())))
}
