//! Why a command did not do what was asked, and the exit code that says so.

use std::fmt;
use std::process::ExitCode;

use gristmill::backend::{BackendError, BackendErrorKind};
use gristmill::{Certainty, Error, ErrorKind};

/// The exit codes; stable, for scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// Something that was tried did not work.
    Failed = 1,
    /// The command line, a file or an input is not valid.
    Usage = 2,
    /// There is no such thing.
    NotFound = 3,
    /// A guard or a state forbids it.
    Refused = 4,
    /// The store cannot be reached.
    Unreachable = 5,
}

/// A command's error: one clause, and the remedy where one is known.
#[derive(Debug)]
pub(crate) struct Failure {
    code: Code,
    message: String,
    hint: Option<String>,
    /// What was asked for may have been done all the same.
    maybe: bool,
    /// The same may succeed later, without a change of the configuration.
    may_pass: bool,
}

/// What a command comes to.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, maybe: false, may_pass: false }
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Code::Failed, message)
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::Usage, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }

    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::new(Code::Refused, message)
    }

    /// Whether the store cannot be reached for a cause that may pass while one waits.
    pub(crate) fn may_pass(&self) -> bool {
        self.may_pass
    }

    /// The same failure with the remedy.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same failure of a change, which says where its effect shows if it may have been made all the same.
    pub(crate) fn maybe(self, where_to_look: impl fmt::Display) -> Self {
        match (self.maybe, self.remedy()) {
            (false, _) => self,
            (true, None) => self.hint(where_to_look.to_string()),
            (true, Some(remedy)) => {
                let hint = format!("{where_to_look}; {remedy}");
                self.hint(hint)
            }
        }
    }

    /// The same failure, naming what it is about unless it does already.
    pub(crate) fn about(mut self, what: impl fmt::Display) -> Self {
        let what = what.to_string();
        if !self.message.contains(&what) {
            self.message = format!("{what}: {}", self.message);
        }
        self
    }

    /// An error of the operating system about a named thing.
    pub(crate) fn io(what: impl fmt::Display, error: &std::io::Error) -> Self {
        Self::failed(format!("{what}: {}", words_of(error)))
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code as u8)
    }

    pub(crate) fn remedy(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match error.kind() {
            ErrorKind::Invalid => Code::Usage,
            ErrorKind::NotFound => Code::NotFound,
            ErrorKind::Refused => Code::Refused,
            ErrorKind::Backend(kind) => code_of(kind),
            _ => Code::Failed,
        };
        let hint = match error.kind() {
            ErrorKind::Backend(kind) => remedy_of(kind).or(error.hint()),
            _ => error.hint(),
        };
        let maybe = error.certainty() == Certainty::MaybeStored;
        let message = chain(error.message(), &error);
        Self { code, message, hint: hint.map(str::to_owned), maybe, may_pass: false }
    }
}

impl From<BackendError> for Failure {
    fn from(error: BackendError) -> Self {
        let hint = remedy_of(error.kind()).or(error.hint());
        Self {
            code: code_of(error.kind()),
            message: chain(error.message(), &error),
            hint: hint.map(str::to_owned),
            maybe: error.certainty() == Certainty::MaybeStored,
            may_pass: code_of(error.kind()) == Code::Unreachable && !error.is_lasting(),
        }
    }
}

/// An error of the operating system without its number.
pub(crate) fn words_of(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split_once(" (os error ").map_or(text.clone(), |(words, _)| words.to_owned())
}

/// What is done about it with this program, where the library can only name it.
fn remedy_of(kind: BackendErrorKind) -> Option<&'static str> {
    (kind == BackendErrorKind::SchemaOld).then_some("run `gristmill migrate`")
}

fn code_of(kind: BackendErrorKind) -> Code {
    match kind {
        BackendErrorKind::Unavailable
        | BackendErrorKind::TimedOut
        | BackendErrorKind::Busy
        | BackendErrorKind::Closed => Code::Unreachable,
        _ => Code::Failed,
    }
}

/// The error and its sources, each once.
fn chain(message: &str, error: &dyn std::error::Error) -> String {
    let mut message = message.to_owned();
    let mut next = error.source();
    while let Some(source) = next {
        let text = source.to_string();
        // PostgreSQL's driver names the sort of error before the server's own words.
        let text = text.strip_prefix("db error: ").unwrap_or(&text);
        // SQLite's number for what was said before in words.
        if !message.contains(text) && !text.starts_with("Error code ") {
            message.push_str(": ");
            message.push_str(text);
        }
        next = source.source();
    }
    message
}
