//! Long work: a bar on a terminal, a plain line now and then elsewhere.

use std::fmt::Write;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::output::{say, talks_to_a_person};

/// When the first plain line is written, and how often one is after it.
const PLAIN_FIRST: Duration = Duration::from_secs(1);
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// Counts what is done of something long.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    what: &'static str,
    total: Option<u64>,
    done: u64,
    /// When the next plain line is due.
    due_at: Instant,
}

impl Progress {
    /// `what` in the past tense, as in `enqueued 12 of 40`.
    pub(crate) fn new(what: &'static str, total: Option<u64>) -> Self {
        let bar = talks_to_a_person().then(|| bar(what, total));
        Self { bar, what, total, done: 0, due_at: Instant::now() + PLAIN_FIRST }
    }

    /// So many are done in all.
    pub(crate) fn set(&mut self, done: u64) {
        self.done = done;
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        } else if self.due_at <= Instant::now() {
            self.due_at = Instant::now() + PLAIN_EVERY;
            match self.total {
                Some(total) => say(format_args!("{} {done} of {total}", self.what)),
                None => say(format_args!("{} {done}", self.what)),
            }
        }
    }

    /// So many more are done.
    pub(crate) fn add(&mut self, more: u64) {
        self.set(self.done + more);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(what: &'static str, total: Option<u64>) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
    let template = match total {
        Some(_) => "{prefix} {bar:30} {human_pos} of {human_len} ({rate}, {eta} left)",
        None => "{prefix} {spinner} {human_pos} ({rate})",
    };
    let style = ProgressStyle::with_template(template).expect("the template is valid");
    bar.set_style(style.with_key("rate", |state: &ProgressState, text: &mut dyn Write| {
        // A rate that cannot be shown is not worth an error.
        let _ = write!(text, "{:.0}/s", state.per_sec());
    }));
    bar.set_prefix(what);
    bar
}
