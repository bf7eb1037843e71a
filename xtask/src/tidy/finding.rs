//! What a check has found.

use std::fmt;

/// The rule that a finding breaks; the name under which `tidy.toml` excuses it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Rule {
    Edges,
    Length,
    Statements,
    Vocabulary,
    Language,
    Operations,
    Source,
    ModuleRoots,
    MachinePaths,
    Exceptions,
}

impl Rule {
    /// Every rule, in the order in which they are reported as checked.
    pub(crate) const ALL: [Self; 10] = [
        Self::Edges,
        Self::Length,
        Self::Statements,
        Self::Vocabulary,
        Self::Language,
        Self::Operations,
        Self::Source,
        Self::ModuleRoots,
        Self::MachinePaths,
        Self::Exceptions,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Edges => "edges",
            Self::Length => "length",
            Self::Statements => "statements",
            Self::Vocabulary => "vocabulary",
            Self::Language => "language",
            Self::Operations => "operations",
            Self::Source => "source",
            Self::ModuleRoots => "module-roots",
            Self::MachinePaths => "machine-paths",
            Self::Exceptions => "exceptions",
        }
    }
}

/// One broken rule at one place, with the remedy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Finding {
    pub(crate) rule: Rule,
    /// Relative to the root, with forward slashes.
    pub(crate) path: String,
    /// Counted from 1; 0 for the file as a whole.
    pub(crate) line: usize,
    /// The word, crate or construct at fault, by which an exception names it.
    pub(crate) subject: String,
    pub(crate) what: String,
    pub(crate) hint: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, path, line, what, hint, .. } = self;
        write!(formatter, "{path}:{}: [{}] {what} — hint: {hint}", (*line).max(1), rule.name())
    }
}
