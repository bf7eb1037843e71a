//! Parts of a fetched batch that have not started, shared by the tasks of a worker.
//!
//! A chunk is run by one task, but its jobs are its own only from the moment it takes them: a stop takes the
//! rest back, and a chunk whose handler holds its task up loses the rest to another task. The lock is held
//! for one step of an iterator.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec;

use gristmill_core::ClaimId;

use super::ready::Ready;
use crate::run_result::RunResult;

/// One part.
#[derive(Debug)]
pub(crate) struct Chunk(Mutex<Inside>);

#[derive(Debug)]
struct Inside {
    rest: vec::IntoIter<Ready>,
    ended: Vec<RunResult>,
    /// Whether a job was taken since the last look.
    moved: bool,
}

impl Chunk {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves the end of the previous job and takes the next one.
    pub(crate) fn advance(&self, previous: Option<RunResult>) -> Option<Ready> {
        let mut inside = self.inside();
        inside.ended.extend(previous);
        inside.moved = true;
        inside.rest.next()
    }

    /// The ends that were left here.
    pub(crate) fn take_ended(&self) -> Vec<RunResult> {
        let mut inside = self.inside();
        let room = inside.rest.len().min(128);
        std::mem::replace(&mut inside.ended, Vec::with_capacity(room))
    }

    /// The jobs that have not started.
    pub(crate) fn take_rest(&self) -> Vec<Ready> {
        std::mem::replace(&mut self.inside().rest, Vec::new().into_iter()).collect()
    }
}

/// The chunks that are being run.
#[derive(Debug, Default)]
pub(crate) struct Chunks(Mutex<Vec<Arc<Chunk>>>);

impl Chunks {
    fn live(&self) -> MutexGuard<'_, Vec<Arc<Chunk>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all(&self) -> Vec<Arc<Chunk>> {
        self.live().clone()
    }

    pub(crate) fn open(&self, jobs: Vec<Ready>) -> Arc<Chunk> {
        let ended = Vec::with_capacity(jobs.len().min(128));
        let chunk = Arc::new(Chunk(Mutex::new(Inside { rest: jobs.into_iter(), ended, moved: true })));
        self.live().push(chunk.clone());
        chunk
    }

    pub(crate) fn close(&self, chunk: &Arc<Chunk>) {
        self.live().retain(|other| !Arc::ptr_eq(other, chunk));
    }

    /// How many jobs have not started.
    pub(crate) fn unstarted(&self) -> usize {
        self.all().iter().map(|chunk| chunk.inside().rest.len()).sum()
    }

    /// Takes every job that has not started.
    pub(crate) fn take_unstarted(&self) -> Vec<Ready> {
        self.all().iter().flat_map(|chunk| chunk.take_rest()).collect()
    }

    /// Takes the jobs of these claims that have not started.
    pub(crate) fn take_unstarted_of(&self, claims: &[ClaimId]) -> Vec<Ready> {
        let mut taken = Vec::new();
        for chunk in self.all() {
            let mut inside = chunk.inside();
            let rest = std::mem::replace(&mut inside.rest, Vec::new().into_iter());
            let (of_claims, others): (Vec<_>, Vec<_>) =
                rest.partition(|ready| claims.contains(&ready.job.lease.claim));
            inside.rest = others.into_iter();
            taken.extend(of_claims);
        }
        taken
    }

    /// Takes ends and rests of the chunks that have not moved since the last call: something holds their task
    /// up.
    pub(crate) fn take_stuck(&self) -> (Vec<RunResult>, Vec<Ready>) {
        let (mut ended, mut rest) = (Vec::new(), Vec::new());
        for chunk in self.all() {
            let mut inside = chunk.inside();
            if !std::mem::take(&mut inside.moved) {
                ended.append(&mut inside.ended);
                rest.extend(inside.rest.by_ref());
            }
        }
        (ended, rest)
    }
}
