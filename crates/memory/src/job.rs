//! A job as the store holds it.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use gristmill_core::{
    ClaimId, EndedBy, Ending, JobEvent, JobId, JobSpec, JobState, LeaseToken, LogLine, Output, RunError,
    RunRecord, Standing, Timestamp, WorkerId,
};
use smallvec::SmallVec;

use crate::store::ReadyKey;

#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: JobId,
    pub(crate) spec: Arc<JobSpec>,
    /// The index of its queue.
    pub(crate) queue: usize,
    /// The number of its kind.
    pub(crate) kind: usize,
    pub(crate) state: JobState,
    pub(crate) attempt: u16,
    pub(crate) run: u32,
    pub(crate) crashes: u16,
    pub(crate) run_at: Timestamp,
    pub(crate) created_at: Timestamp,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) lease: Option<Arc<Held>>,
    pub(crate) cancel_requested: bool,
    /// It is scheduled, due at no time: no worker that met it has a handler for its kind.
    pub(crate) is_parked: bool,
    pub(crate) reason: Option<Box<str>>,
    pub(crate) output: Option<Box<Output>>,
    /// Most jobs run once.
    pub(crate) runs: SmallVec<[EndedRun; 1]>,
    /// What few jobs have.
    pub(crate) notes: Option<Box<Notes>>,
}

/// What a running attempt recorded, and what happened outside leases.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) progress: Option<u8>,
    pub(crate) checkpoint: Option<Bytes>,
    /// The lines of the present run, by their numbers.
    pub(crate) log: BTreeMap<u32, LogLine>,
    pub(crate) events: VecDeque<JobEvent>,
}

/// What the leases of one fetch have in common, shared by its jobs and their runs: a job costs a pointer for
/// it, and a store of many small jobs is as fast as it is small.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) worker: WorkerId,
    pub(crate) claim: ClaimId,
    pub(crate) token: LeaseToken,
    pub(crate) fetched_at: Timestamp,
}

/// A run that has ended, and who ended it.
#[derive(Debug)]
pub(crate) struct EndedRun {
    pub(crate) run: u32,
    pub(crate) attempt: u16,
    pub(crate) ending: Ending,
    pub(crate) state: JobState,
    pub(crate) by: EndedBy,
    pub(crate) held: Arc<Held>,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) finished_at: Timestamp,
    /// What few runs have.
    pub(crate) words: Option<Box<Words>>,
}

/// What a run left in words.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Words {
    pub(crate) reason: Option<String>,
    pub(crate) error: Option<RunError>,
    pub(crate) log: Vec<LogLine>,
}

impl Job {
    /// A job that has not run.
    pub(crate) fn new(
        id: JobId,
        spec: JobSpec,
        (queue, kind): (usize, usize),
        (state, run_at): (JobState, Timestamp),
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            spec: Arc::new(spec),
            queue,
            kind,
            state,
            attempt: 0,
            run: 0,
            crashes: 0,
            run_at,
            created_at: now,
            finished_at: None,
            lease: None,
            cancel_requested: false,
            is_parked: false,
            reason: None,
            output: None,
            runs: SmallVec::new(),
            notes: None,
        }
    }

    pub(crate) fn notes(&mut self) -> &mut Notes {
        self.notes.get_or_insert_default()
    }

    pub(crate) fn add_event(&mut self, event: JobEvent) {
        let events = &mut self.notes().events;
        if events.len() == JobEvent::KEPT {
            events.pop_front();
        }
        events.push_back(event);
    }

    pub(crate) fn ready_key(&self) -> ReadyKey {
        (self.spec.priority, self.run_at, self.id)
    }

    /// Where it stands when it is not running.
    pub(crate) fn standing(&self) -> Standing<'_> {
        let Self { state, run_at, is_parked, attempt, crashes, .. } = *self;
        let mut standing = Standing::new(state, run_at);
        (standing.is_parked, standing.attempt, standing.crashes) = (is_parked, attempt, crashes);
        standing.retention = self.spec.retention.as_deref();
        standing
    }
}

impl EndedRun {
    /// The run as the inspection shows it, with the newest lines of its log for which there is room.
    pub(crate) fn record(&self, room: &mut usize) -> RunRecord {
        let mut record = RunRecord::new(
            self.run,
            self.attempt,
            self.ending,
            self.state,
            self.held.worker,
            self.held.fetched_at,
            self.finished_at,
        );
        record.started_at = self.started_at;
        if let Some(words) = &self.words {
            record.reason.clone_from(&words.reason);
            record.error.clone_from(&words.error);
            let Ok(log) = LogLine::newest::<Infallible>(words.log.iter().rev().cloned().map(Ok), room);
            record.log = log;
        }
        record
    }
}
