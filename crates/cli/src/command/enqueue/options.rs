//! The options of a job as flags.

use std::time::Duration;

use clap::Args;
use gristmill::{JobOptions, Timestamp, parse_duration};
use serde_json::Value;

use crate::failure::{Failure, Result};

const JOB: &str = "Options of the job";

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The line it stands in [default: default]
    #[arg(long, help_heading = JOB, value_name = "NAME")]
    queue: Option<String>,
    /// From -10 (first) to 10 (last) [default: 0]
    #[arg(long, help_heading = JOB, value_name = "N", allow_negative_numbers = true)]
    priority: Option<i64>,
    /// Run it this much later, as in 30s or 1h30m
    #[arg(long, help_heading = JOB, value_name = "DURATION", value_parser = parse_duration, allow_hyphen_values = true, conflicts_with = "at")]
    delay: Option<Duration>,
    /// Run it not before this time, as in 2026-11-22T10:00:00Z
    #[arg(long, help_heading = JOB, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Run it at most so often, the first time included [default: 20]
    #[arg(long, help_heading = JOB, value_name = "N", allow_negative_numbers = true)]
    max_attempts: Option<u16>,
    /// How long one attempt may take [default: the worker's]
    #[arg(long, help_heading = JOB, value_name = "DURATION", value_parser = parse_duration, allow_hyphen_values = true)]
    timeout: Option<Duration>,
    /// Enqueue nothing while a job with this key is not terminal in its queue
    #[arg(long, help_heading = JOB, value_name = "KEY")]
    unique_key: Option<String>,
    /// A word to find it by; may be given several times
    #[arg(long, help_heading = JOB, value_name = "TAG")]
    tag: Vec<String>,
    /// A key of its metadata; the value is JSON, or a text; may be given several times
    #[arg(long, help_heading = JOB, value_name = "K=V", value_parser = key_value)]
    meta: Vec<(String, Value)>,
}

impl Options {
    /// The options of a job; what is not given keeps its default.
    pub(super) fn job_options(&self) -> Result<JobOptions> {
        let mut options = JobOptions::new();
        if let Some(queue) = &self.queue {
            options = options.queue(queue.clone());
        }
        if let Some(priority) = self.priority {
            options = options.priority(priority);
        }
        if let Some(delay) = self.delay {
            options = options.delay(delay);
        }
        if let Some(at) = self.at {
            options = options.run_at(at);
        }
        if let Some(max_attempts) = self.max_attempts {
            options = options.max_attempts(max_attempts);
        }
        if let Some(timeout) = self.timeout {
            options = options.timeout(timeout);
        }
        if let Some(key) = &self.unique_key {
            options = options.unique_key(key.clone());
        }
        let options = self.tag.iter().fold(options, |options, tag| options.tag(tag.clone()));
        for (number, (key, _)) in self.meta.iter().enumerate() {
            if self.meta[..number].iter().any(|(other, _)| other == key) {
                let message = format!("--meta gives `{}` twice", key.escape_debug());
                return Err(Failure::usage(message).hint("give each key once"));
            }
        }
        let metadata = self.meta.iter().cloned();
        Ok(metadata.fold(options, |options, (key, value)| options.metadata(key, value)))
    }
}

fn key_value(text: &str) -> std::result::Result<(String, Value), String> {
    let (key, value) = text.split_once('=').ok_or("write it as key=value")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok((key.to_owned(), value))
}
