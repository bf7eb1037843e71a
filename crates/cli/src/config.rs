//! `gristmill.toml`: found upwards from the working directory, or named by `--config`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gristmill::parse_duration;
use serde::{Deserialize, Deserializer};

use crate::connect::GivenUrl;
use crate::failure::{Failure, Result, words_of};
use crate::trust::distrust;

/// The name that is looked for.
pub(crate) const FILE_NAME: &str = "gristmill.toml";

/// What the file may hold. Everything is optional; a flag and the environment win over it.
///
/// ```toml
/// db = "sqlite:jobs.db"          # relative to this file
/// log = "info"
///
/// [work]
/// slots = 8
/// lease = "30s"
/// grace = "30s"
/// poll_interval = "5s"
///
/// [work.queues]
/// default = 8
/// mail = 2
///
/// [work.handlers.checksum]
/// exec = ["./sum.sh"]            # relative to this file; or one text, split into words as a shell would
/// timeout = "30s"
/// ```
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) db: Option<GivenUrl>,
    pub(crate) log: Option<String>,
    #[serde(default)]
    pub(crate) work: WorkConfig,
}

/// What a worker runs and how.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkConfig {
    pub(crate) slots: Option<usize>,
    #[serde(default, deserialize_with = "duration")]
    pub(crate) lease: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    pub(crate) grace: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    pub(crate) poll_interval: Option<Duration>,
    /// Variables that programs do not get.
    #[serde(default)]
    pub(crate) without_env: Vec<String>,
    #[serde(default)]
    pub(crate) queues: BTreeMap<String, usize>,
    #[serde(default)]
    pub(crate) handlers: BTreeMap<String, HandlerConfig>,
}

/// One kind's program.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HandlerConfig {
    pub(crate) exec: CommandLine,
    /// The longest an attempt of a job without a timeout of its own may take.
    #[serde(default, deserialize_with = "duration")]
    pub(crate) timeout: Option<Duration>,
}

/// A program with its arguments.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub(crate) enum CommandLine {
    /// Split into words as a shell would.
    Text(String),
    /// Taken as it is.
    Words(Vec<String>),
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).map(Some).map_err(serde::de::Error::custom)
}

/// A file that was read, and where it lies.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) config: Config,
    pub(crate) folder: Option<PathBuf>,
    pub(crate) file: Option<PathBuf>,
}

/// Reads the named file, or the nearest one upwards from `from`; none is no error. One that was found must be
/// trustworthy: it names programs to run.
pub(crate) fn load(named: Option<&Path>, from: &Path) -> Result<Found> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => match from.ancestors().map(|folder| folder.join(FILE_NAME)).find(|path| path.is_file()) {
            Some(path) => path,
            None => return Ok(Found::default()),
        },
    };
    let unreadable = |error: std::io::Error| {
        Failure::usage(format!("cannot read {}: {}", path.display(), words_of(&error))).hint(
            "name a file that this user may read with --config, or leave --config out for the nearest gristmill.toml",
        )
    };
    let mut file = File::open(&path).map_err(unreadable)?;
    if named.is_none()
        && let Some(why) = distrust(&path, &file)
    {
        let message = format!("{} was found, but is not used: {why}", path.display());
        return Err(Failure::refused(message).hint(format!(
            "name it if you trust it: --config {}; --config /dev/null uses none",
            path.display()
        )));
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(unreadable)?;
    let config = toml::from_str(&text).map_err(|error| {
        Failure::usage(format!("{} is not valid: {}", path.display(), describe(&text, &error)))
            .hint("`gristmill help work` shows what it may hold")
    })?;
    Ok(Found { config, folder: path.parent().map(Path::to_owned), file: Some(path) })
}

/// toml shows the line at fault by default; a line may hold a password.
fn describe(text: &str, error: &toml::de::Error) -> String {
    let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    match line {
        Some(line) => format!("line {line}: {}", error.message()),
        None => error.message().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_documentation_is_read() {
        let text = r#"
            db = "sqlite:jobs.db"
            [work]
            slots = 8
            poll_interval = "2s"
            lease = "30s"
            [work.queues]
            mail = 2
            [work.handlers.checksum]
            exec = ["sha256sum"]
            timeout = "30s"
            [work.handlers.other]
            exec = "sh -c 'exit 75'"
        "#;
        let config: Config = toml::from_str(text).expect("it is valid");
        assert_eq!(config.work.queues["mail"], 2);
        assert_eq!(config.work.poll_interval, Some(Duration::from_secs(2)));
        assert_eq!(config.work.handlers["checksum"].timeout, Some(Duration::from_secs(30)));
        assert_eq!(config.work.handlers["other"].exec, CommandLine::Text("sh -c 'exit 75'".to_owned()));
    }

    #[test]
    fn an_unknown_key_is_refused_and_no_value_is_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(FILE_NAME);
        std::fs::write(&path, "dbs = \"postgres://me:secret@host/x\"\n").expect("written");
        let failure = load(None, &folder.path().join("below/it")).expect_err("it is not valid");
        let told = failure.to_string();
        assert!(told.contains("line 1: unknown field `dbs`") && !told.contains("secret"), "{told}");
    }
}
