//! What every command starts from: flags over environment over file.

use std::path::{Path, PathBuf};

use clap::Args;
use gristmill::{Client, did_you_mean};

use crate::config::{self, WorkConfig};
use crate::connect::{Absent, DEFAULT_FILE, GivenUrl, Url};
use crate::failure::{Failure, Result};
use crate::log;
use crate::trust::distrust;

/// The options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// The store of jobs: `postgres://USER@HOST/DATABASE` (with `?schema=NAME`), `sqlite:PATH` (with
    /// `?synchronous=normal|full|off`) or `memory:` [default: sqlite:jobs.db]
    #[arg(
        long,
        global = true,
        display_order = 1_000,
        value_name = "URL",
        env = "GRISTMILL_DB",
        hide_env_values = true
    )]
    pub(crate) db: Option<GivenUrl>,
    /// The file to read instead of the nearest `gristmill.toml` upwards
    #[arg(long, global = true, display_order = 1_001, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// What is logged to stderr: off, error, warn, info, debug, trace, or `target=level,…` with libraries
    /// [default: warn]
    #[arg(
        long,
        global = true,
        display_order = 1_002,
        value_name = "FILTER",
        env = "GRISTMILL_LOG",
        hide_env_values = true
    )]
    pub(crate) log: Option<String>,
}

/// The options of every command, settled.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) url: Url,
    /// The store was named on the command line: neither the default, nor the one that is worked with every
    /// day.
    #[cfg_attr(not(feature = "bench"), expect(dead_code, reason = "only `bench` tells the two apart"))]
    pub(crate) named: bool,
    pub(crate) work: WorkConfig,
    /// The file that was read, and its folder.
    pub(crate) file: Option<PathBuf>,
    pub(crate) folder: Option<PathBuf>,
}

impl Setup {
    /// Reads the configuration file, resolves all settings and starts the log. `quiet` is the default log
    /// filter. `flagged` says that the store was named on the command line.
    pub(crate) fn new(global: &Global, flagged: bool, quiet: &str) -> Result<Self> {
        let here = std::env::current_dir()
            .map_err(|error| Failure::io("the working directory cannot be read", &error))?;
        let found = config::load(global.config.as_deref(), &here)?;
        start_log(global.log.as_deref().or(found.config.log.as_deref()).unwrap_or(quiet))?;
        let url = match (&global.db, &found.config.db) {
            (Some(GivenUrl(url)), _) if url.is_empty() => {
                return Err(Failure::usage("the store's URL is empty")
                    .hint("leave --db out and unset GRISTMILL_DB for `sqlite:jobs.db`"));
            }
            (Some(GivenUrl(url)), _) => Url::parse(url, None)?,
            // A path in the file means the same wherever below it the command is started.
            (None, Some(GivenUrl(url))) => Url::parse(url, found.folder.as_deref())?,
            (None, None) => default_url()?,
        };
        let config::Found { config, folder, file } = found;
        Ok(Self { url, named: flagged, work: config.work, file, folder })
    }

    /// A client of the store.
    pub(crate) async fn connect(&self, absent: Absent) -> Result<Client> {
        Ok(Client::new(self.url.open(absent).await?))
    }
}

/// The store of a command that names none: a file that is found in the working directory like a configuration
/// file.
fn default_url() -> Result<Url> {
    let path = Path::new(DEFAULT_FILE);
    // One that is not there, or cannot be opened, is the store's to report.
    let distrusted = std::fs::File::open(path).ok().and_then(|file| distrust(path, &file));
    match distrusted {
        None => Url::parse(&format!("sqlite:{DEFAULT_FILE}"), None),
        Some(why) => Err(Failure::refused(format!("{DEFAULT_FILE} was found, but is not used: {why}"))
            .hint(format!("if you trust it, name it: --db sqlite:{DEFAULT_FILE}"))),
    }
}

/// A word that is no level would be taken for a part of the program, of which nothing is ever heard.
fn check_levels(filter: &str) -> Result<()> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    for word in filter.split(',').map(str::trim).filter(|word| !word.is_empty() && !word.contains('=')) {
        if !LEVELS.iter().any(|level| word.eq_ignore_ascii_case(level)) {
            let failure = Failure::usage(format!("`{word}` is not a level of the log"));
            return Err(match did_you_mean(word, LEVELS) {
                Some(level) => failure.hint(format!("did you mean `{level}`?")),
                None => failure.hint(LOG_HINT),
            });
        }
    }
    Ok(())
}

/// A level alone is that of this program. Libraries have other readers: each is heard when it is named, as in
/// `warn,deadpool_postgres=debug`.
fn own(filter: &str) -> String {
    let words = filter.split(',').map(str::trim).filter(|word| !word.is_empty());
    let words =
        words.map(|word| if word.contains('=') { word.to_owned() } else { format!("gristmill={word}") });
    ["off".to_owned()].into_iter().chain(words).collect::<Vec<_>>().join(",")
}

const LOG_HINT: &str =
    "write a level such as `info`, or levels of parts such as `warn,gristmill::worker=debug`";

/// Starts the log on stderr.
pub(crate) fn start_log(filter: &str) -> Result<()> {
    use tracing_subscriber::EnvFilter;
    check_levels(filter)?;
    let filter = EnvFilter::builder()
        .parse(own(filter))
        .map_err(|error| Failure::usage(format!("the log filter is not valid: {error}")).hint(LOG_HINT))?;
    let colours =
        crate::output::talks_to_a_person() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(log::lines).with_ansi(colours).init();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_alone_is_that_of_this_program() {
        assert_eq!(own("warn"), "off,gristmill=warn");
        assert_eq!(own("info, deadpool_postgres=debug"), "off,gristmill=info,deadpool_postgres=debug");
        assert_eq!(own("warn,gristmill::job=off"), "off,gristmill=warn,gristmill::job=off");
    }
}
