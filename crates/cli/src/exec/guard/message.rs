//! What a worker and a guard send each other.

use std::io;

use serde::{Deserialize, Serialize};

/// From the worker to a guard.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// Start a program; its three files come with this message.
    Start {
        /// The program and its arguments.
        words: Vec<String>,
        /// Changes of the environment; `None` removes.
        variables: Vec<(String, Option<String>)>,
    },
    /// SIGTERM to the program's process group. Without a program this has come too late and means nothing.
    Terminate,
    /// SIGKILL to everything the program has started. Without a program this means nothing.
    Kill,
}

/// From a guard to its worker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// The program runs.
    Started,
    /// The program could not be started; the guard waits for the next one.
    NotStarted {
        /// The system's number of the error, if it has one.
        code: Option<i32>,
        /// The error in words.
        text: String,
    },
    /// The program has ended.
    Ended {
        /// Its wait status.
        status: i32,
        /// Processes that it started and that could not be killed.
        left: usize,
    },
}

impl Report {
    /// The system's error, for the other end.
    pub(super) fn not_started(error: &io::Error) -> Self {
        Self::NotStarted { code: error.raw_os_error(), text: error.to_string() }
    }
}
