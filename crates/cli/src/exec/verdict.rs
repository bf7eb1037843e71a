//! What an exit code means for the job. The codes are those of `sysexits.h` where it has one.
//!
//! 0 completed · 75 (EX_TEMPFAIL) retry · 65 (EX_DATAERR) discard · 77 (EX_NOPERM) cancelled · 69
//! (EX_UNAVAILABLE) snooze · anything else, and a signal, failed. 126 and 127 of a program that ends soon and
//! without output are no outcome: with them shells and `env` report that they could not start a program.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use gristmill::{Outcome, RunError};

use super::heard::Heard;

/// How much later a job runs whose program says that what it needs is unavailable.
pub(super) const SNOOZE: Duration = Duration::from_secs(30);

/// The outcome of a program that has ended by itself.
pub(super) fn of(status: ExitStatus, mut heard: Heard) -> Outcome {
    match status.code() {
        Some(0) => Outcome::Completed { output: heard.output() },
        Some(65) => Outcome::Discarded { reason: heard.told("discarded by exit code 65") },
        Some(69) => Outcome::Snoozed { after: SNOOZE },
        Some(75) => failed(&heard.told("exit code 75 asks for a retry")),
        Some(77) => Outcome::Cancelled { reason: heard.told("cancelled by exit code 77") },
        Some(code) => failed(&heard.told(&format!("exit code {code}"))),
        None => {
            let signal =
                status.signal().map_or_else(|| "a signal".to_owned(), |signal| format!("signal {signal}"));
            failed(&heard.told(&format!("killed by {signal}")))
        }
    }
}

/// A shell that could not start its program ends this soon. One that ran for longer has done something
/// before.
const SOON: Duration = Duration::from_secs(1);

/// The code with which a shell reports that it could not start a program: it may not be executed, or is not
/// there. From a program that ran for a while, or has written to its standard output, the same code is a
/// failure: a job that is given back without an attempt spent would repeat its effects for ever.
pub(super) fn not_started(status: ExitStatus, ran_for: Duration, heard: &Heard) -> Option<i32> {
    status.code().filter(|code| matches!(code, 126 | 127) && ran_for <= SOON && !heard.has_output())
}

fn failed(message: &str) -> Outcome {
    Outcome::Failed { error: RunError::new(message), after: None }
}
