//! The command line of `cargo xtask bench`.

use anyhow::Result;

use super::plan::{Comparison, When};
use crate::arguments::{Arguments, UsageError, unknown};

/// What to measure, how often, and how large.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) rounds: u32,
    pub(crate) sizes: Sizes,
    /// The commit whose programs take turns with those of the working tree, instead of floors and peers.
    pub(crate) against: Option<String>,
    only: Option<String>,
    rows: Vec<When>,
    pub(crate) json: bool,
    pub(crate) list: bool,
}

/// How large the runs are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Instead of each row's own number of jobs.
    pub(crate) jobs: Option<u32>,
    pub(crate) backlog: u32,
    pub(crate) history: u32,
    pub(crate) seconds: u32,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { jobs: None, backlog: 1_000_000, history: 10_000_000, seconds: 60 }
    }
}

impl Options {
    /// Reads the arguments behind `bench`.
    pub(crate) fn read(arguments: &[String]) -> Result<Self> {
        let mut options = Self {
            rounds: 3,
            sizes: Sizes::default(),
            against: None,
            only: None,
            rows: vec![When::Always],
            json: false,
            list: false,
        };
        let mut arguments = Arguments::new(arguments);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--rounds" => options.rounds = arguments.value("--rounds")?,
                "--jobs" => options.sizes.jobs = Some(arguments.value("--jobs")?),
                "--backlog" => options.sizes.backlog = arguments.value("--backlog")?,
                "--history" => options.sizes.history = arguments.value("--history")?,
                "--seconds" => options.sizes.seconds = arguments.value("--seconds")?,
                "--against" => options.against = Some(arguments.value("--against")?),
                "--only" => options.only = Some(arguments.value("--only")?),
                "--full" => options.rows.push(When::Full),
                "--peers" => options.rows.push(When::Peers),
                "--json" => options.json = true,
                "--list" => options.list = true,
                _ => return Err(unknown(&argument)),
            }
        }
        let Sizes { jobs, seconds, .. } = options.sizes;
        if options.rounds == 0 || jobs == Some(0) || seconds == 0 {
            return Err(UsageError("`--rounds`, `--jobs` and `--seconds` begin at 1".to_owned()).into());
        }
        Ok(options)
    }

    /// The rows that these options ask for.
    pub(crate) fn choose(
        &self,
        rows: impl Iterator<Item = &'static Comparison>,
    ) -> Result<Vec<&'static Comparison>> {
        let wanted: Vec<&Comparison> = rows
            .filter(|row| self.rows.contains(&row.when))
            // A drain against peers is the drain against the floors, with fewer jobs.
            .filter(|row| self.against.is_none() || row.when != When::Peers)
            .filter(|row| self.only.as_deref().is_none_or(|text| row.name.contains(text)))
            .collect();
        if wanted.is_empty() {
            let only = self.only.as_deref().unwrap_or_default();
            let hint = "`--list` shows them, with `--full` and `--peers` all";
            return Err(UsageError(format!("no comparison has `{only}` in its name; {hint}")).into());
        }
        Ok(wanted)
    }
}
