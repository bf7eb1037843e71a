//! `tidy.toml`: the word list, the operations, and the exceptions with their reasons.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

/// The whole file.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) vocabulary: Vocabulary,
    pub(crate) language: Language,
    pub(crate) operations: Operations,
    #[serde(default)]
    pub(crate) long_file: Vec<LongFile>,
    #[serde(default)]
    pub(crate) exception: Vec<Exception>,
}

/// Words that the glossary replaces by others.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vocabulary {
    pub(crate) banned: Vec<BannedWord>,
    /// Words that no type, trait, module or function may be named after.
    pub(crate) empty_words: Vec<String>,
    /// Words that the name of a state may not be.
    pub(crate) not_a_state: Vec<String>,
    /// Names of other people's items that hold a banned word.
    pub(crate) foreign: Vec<ForeignName>,
}

/// One banned word, or several joined by `_` that are banned side by side.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct BannedWord {
    pub(crate) word: String,
    pub(crate) say: String,
}

/// An identifier, the end of a path (`Poll::Pending`) or a method (`.payload`) that is always allowed.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct ForeignName {
    pub(crate) name: String,
    pub(crate) reason: String,
}

/// Words that prose may not use.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Language {
    pub(crate) words: Vec<Advice>,
}

/// A word, or several with a space between them, and what to write in its place.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Advice {
    pub(crate) word: String,
    pub(crate) say: String,
}

/// The operations that have a file of the same name in every backend.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Operations {
    /// Folders under `crates/`.
    pub(crate) backends: Vec<String>,
    pub(crate) files: Vec<String>,
}

/// A file that may be longer than the limit, at most by what it is now.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct LongFile {
    pub(crate) path: String,
    /// Its lines today, tests not counted.
    pub(crate) lines: usize,
    pub(crate) reason: String,
}

/// Findings that are allowed.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exception {
    pub(crate) rule: String,
    pub(crate) path: String,
    /// The word, crate or construct that the finding names.
    pub(crate) subject: String,
    pub(crate) reason: String,
}

impl Config {
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let path = root.join("tidy.toml");
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is not valid", path.display()))
    }
}
