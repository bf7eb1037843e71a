//! The steps of a round of pruning: one that fails is logged and noted, and the others go on.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use gristmill_core::{BackendError, Timestamp};

use crate::error::{Answer, Fail};
use crate::session::Session;
use crate::statement::sql;

/// A step that goes on failing in the same way is logged again after this long.
const LOG_AGAIN: Duration = Duration::from_secs(600);
/// Characters of an error that are kept.
const KEPT: usize = 500;

/// What a process has logged of failing steps, and when.
#[derive(Debug, Default)]
pub(crate) struct Logged(Mutex<HashMap<&'static str, (String, Instant)>>);

/// What became of the steps of one round.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    done: Vec<(&'static str, Option<String>)>,
    /// How long the tables were locked by the longest drop of a partition (ms).
    pub(crate) longest_ms: Option<i64>,
}

impl Steps {
    /// Takes the answer of a step. Where the server refused a statement, the answer is as if there had been
    /// nothing to do; only an outage ends the round.
    pub(crate) async fn take<T: Default>(
        &mut self,
        logged: &Logged,
        session: &mut Session,
        step: &'static str,
        answer: Answer<T>,
    ) -> Answer<T> {
        match answer {
            Ok(value) => {
                self.done.push((step, None));
                logged.over(step);
                Ok(value)
            }
            Err(fail) if fail.is_of_server() || matches!(fail, Fail::Refused(_)) => {
                session.roll_back().await?;
                let cause = cause_of(fail);
                logged.failed(step, &cause);
                self.done.push((step, Some(cause)));
                Ok(T::default())
            }
            Err(fail) => Err(fail),
        }
    }

    /// Notes what became of the steps, for `doctor`.
    pub(crate) async fn note(&self, session: &mut Session, now: Timestamp) -> Answer<()> {
        let (steps, errors): (Vec<&str>, Vec<Option<&str>>) =
            self.done.iter().map(|(step, error)| (*step, error.as_deref())).unzip();
        let noted = session.execute(sql!("note_steps"), &[&now.as_millis(), &steps, &errors]).await;
        if let (Ok(()), Some(longest)) = (&noted, self.longest_ms) {
            return session.execute(sql!("note_longest"), &[&DROP, &longest]).await;
        }
        noted
    }
}

/// The step that drops partitions.
pub(crate) const DROP: &str = "drop partitions";

/// What the server said, and where.
pub(crate) fn cause_of(fail: Fail) -> String {
    let cause = match &fail {
        Fail::Broken(error) => error.as_db_error().map(|error| {
            let hint = error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
            format!("{} [{}]{hint}", error.message(), error.code().code())
        }),
        _ => None,
    };
    let cause = cause.unwrap_or_else(|| BackendError::from(fail).to_string());
    cause.chars().take(KEPT).collect()
}

impl Logged {
    fn failed(&self, step: &'static str, cause: &str) {
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = logged.get(step).is_some_and(|(known, at)| known == cause && at.elapsed() < LOG_AGAIN);
        if !is_known {
            gristmill_core::log!(warn, step, cause, "a step of pruning failed; the other steps go on");
            logged.insert(step, (cause.to_owned(), Instant::now()));
        }
    }

    fn over(&self, step: &'static str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(step);
    }
}
