//! Which kinds of jobs are quick enough to run in the task that fetched them.
//!
//! A task a job costs about a microsecond, more than many a handler. A kind whose first polls end at once and
//! quickly is therefore polled in place. Slow polls send it back to tasks of its own, where it holds no
//! neighbour up; a single one does not unless it is very slow: on a busy machine a thread is taken off its
//! processor for some milliseconds now and then, which once sent a quarter of a million quick jobs to tasks.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gristmill_core::{KindSet, Name};

use crate::handler::route::{Mode, Route, Routes};

/// This many quick first polls in a row make a kind quick.
const QUICK_AFTER: i32 = 16;
/// Another slow poll within this many quick ones is no accident.
const SUSPECT_FOR: i32 = 64;
const TRUSTED: i32 = QUICK_AFTER + SUSPECT_FOR;
/// A slow kind gets tasks of its own for this many jobs.
const SLOW_FOR: i32 = 1_000;
const QUICK: Duration = Duration::from_micros(50);
const SLOW: Duration = Duration::from_millis(1);
/// Longer than a thread is kept waiting for its processor.
const VERY_SLOW: Duration = Duration::from_millis(30);

/// A kind the worker has a handler for.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) name: Name,
    pub(crate) route: Arc<Route>,
    pub(crate) pace: PollPace,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Kinds {
    by_name: HashMap<Name, Arc<Kind>>,
    /// Kinds that were met without a handler, so that each is logged once; bounded by [`MOST_UNKNOWN`].
    unknown: Mutex<HashSet<Name>>,
}

const MOST_UNKNOWN: usize = 1_000;

impl Kinds {
    pub(crate) fn new(routes: &Routes) -> Self {
        let kind = |name: Name| {
            let route = routes.find(&name)?.clone();
            Some((name.clone(), Arc::new(Kind { name, route, pace: PollPace::default() })))
        };
        Self { by_name: routes.kinds().into_iter().filter_map(kind).collect(), unknown: Mutex::default() }
    }

    pub(crate) fn find(&self, kind: &Name) -> Option<&Arc<Kind>> {
        self.by_name.get(kind)
    }

    pub(crate) fn names(&self) -> Vec<Name> {
        self.by_name.keys().cloned().collect()
    }

    /// The kinds as a set.
    pub(crate) fn set(&self) -> KindSet {
        KindSet::new(&self.names())
    }

    /// A job of this kind came, and there is no handler.
    pub(crate) fn warn_unknown(&self, kind: &Name) {
        let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        if unknown.len() < MOST_UNKNOWN && unknown.insert(kind.clone()) {
            gristmill_core::log!(
                warn,
                name: "no_handler", target: "gristmill::worker", kind = %kind,
                hint = "register a handler for it, or let another worker serve its queue",
                "jobs of this kind wait: the worker has no handler for it"
            );
        }
    }
}

impl Kind {
    /// Whether its next job may be polled in place.
    pub(crate) fn is_quick(&self) -> bool {
        self.route.mode == Mode::Async && self.pace.is_quick()
    }
}

/// How quick the first polls of a kind are. Counts up with every quick one: from [`QUICK_AFTER`] on the kind
/// is quick, at [`TRUSTED`] a slow poll is an accident. Falls below zero when the kind is slow. Relaxed and a
/// little wrong under contention, which costs nothing.
#[derive(Debug, Default)]
pub(crate) struct PollPace(AtomicI32);

impl PollPace {
    fn is_quick(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= QUICK_AFTER
    }

    /// A first poll took this long, and the job ended with it or did not.
    pub(crate) fn observe(&self, took: Duration, ended: bool) {
        let now = self.0.load(Ordering::Relaxed);
        let next = if took > SLOW {
            if now >= TRUSTED && took <= VERY_SLOW { QUICK_AFTER } else { -SLOW_FOR }
        } else if ended && took <= QUICK {
            if now >= TRUSTED {
                return;
            }
            now + 1
        } else if now < 0 {
            now + 1
        } else if ended {
            // Neither quick nor slow.
            (now - 1).max(0)
        } else {
            0
        };
        self.0.store(next, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_micros(1);

    #[test]
    fn a_kind_is_quick_after_some_quick_jobs() {
        let pace = PollPace::default();
        for _ in 0..QUICK_AFTER {
            assert!(!pace.is_quick());
            pace.observe(NOW, true);
        }
        assert!(pace.is_quick());
    }

    #[test]
    fn a_slow_poll_now_and_then_is_an_accident() {
        let pace = PollPace(AtomicI32::new(TRUSTED));
        for _ in 0..3 {
            pace.observe(Duration::from_millis(2), true);
            for _ in 0..SUSPECT_FOR {
                assert!(pace.is_quick());
                pace.observe(NOW, true);
            }
        }
    }

    #[test]
    fn a_very_slow_poll_is_none() {
        let pace = PollPace(AtomicI32::new(TRUSTED));
        pace.observe(2 * VERY_SLOW, true);
        assert!(!pace.is_quick());
    }

    #[test]
    fn a_second_slow_poll_soon_after_ends_that_for_a_long_time() {
        let pace = PollPace(AtomicI32::new(TRUSTED));
        pace.observe(Duration::from_millis(2), true);
        pace.observe(NOW, true);
        pace.observe(Duration::from_millis(2), true);
        for _ in 0..SLOW_FOR {
            assert!(!pace.is_quick());
            pace.observe(NOW, true);
        }
        assert!(!pace.is_quick());
    }

    #[test]
    fn a_kind_that_waits_is_not_quick() {
        let pace = PollPace(AtomicI32::new(QUICK_AFTER));
        pace.observe(NOW, false);
        assert!(!pace.is_quick());
    }
}
