//! A log that panics.

use std::fmt::Debug;

use gristmill_core::{Finished, JobFilter, JobState};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::site::Site;
use crate::fixture::{complete, count, fetch, register};

/// A line with this in it panics.
const PANICS: &str = "panics in the log";

struct Log;

struct Line;

impl Visit for Line {
    fn record_debug(&mut self, _: &Field, value: &dyn Debug) {
        assert!(!format!("{value:?}").contains(PANICS), "a subscriber that panics");
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        event.record(&mut Line);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn a_log_that_panics_loses_no_answer() {
    tracing::subscriber::set_global_default(Log).expect("no other test sets one");
    let site = Site::shared();
    let (backend, raw) = (site.open(), site.raw());
    let ids = site.put(&backend, 2);
    raw.run(&format!("UPDATE {{schema}}.jobs SET kind = '{PANICS}' WHERE id = '{}'", ids[0]));

    let fetched = fetch(&backend, register(&backend), 1, 9);

    assert_eq!(complete(&backend, fetched), [Finished::Accepted { state: JobState::Completed }]);
    assert_eq!(count(&backend, JobFilter::new().state(JobState::Discarded)), 1);
}
