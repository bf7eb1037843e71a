//! Jobs that were fetched before there is a slot for them.
//!
//! Where jobs end quicker than a fetch takes, the fetcher leases a few more than may run
//! ([forecast](super::forecast)): they wait here until a job of their lane ends, and start at once on its
//! slot. Until then they count as jobs that have not started: a stop releases them.
//!
//! A *unit* of [`Slots`] is held by each job in hand and by each job a fetch in flight may bring. Running =
//! units - expected - waiting here; this never exceeds the slots. Expected and waiting jobs are counted here,
//! under one short lock, and only here jobs are let out. So the limits hold while other tasks free units. A
//! task that frees one then looks at [`Reserve::is_empty`], and a task that puts jobs in then looks for free
//! slots: one of the two sees the other, and no job is left behind.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gristmill_core::ClaimId;

use super::forecast::Ahead;
use crate::worker::executor::ready::Ready;
use crate::worker::executor::slots::Slots;

/// The jobs of all lanes.
#[derive(Debug)]
pub(crate) struct Reserve {
    slots: Arc<Slots>,
    inside: Mutex<Inside>,
    len: AtomicUsize,
}

#[derive(Debug)]
struct Inside {
    lanes: Vec<Lane>,
    /// The number of the next job that is put in.
    next: u64,
    /// Whether a job was put in or let out since the last look.
    moved: bool,
}

#[derive(Debug, Default)]
struct Lane {
    /// How many jobs fetches in flight may bring.
    expected: usize,
    /// In the order they came, with the number that says so over all lanes.
    jobs: VecDeque<(u64, Ready)>,
}

impl Reserve {
    /// Of so many lanes.
    pub(crate) fn new(slots: Arc<Slots>, lanes: usize) -> Self {
        let lanes = (0..lanes).map(|_| Lane::default()).collect();
        let inside = Mutex::new(Inside { lanes, next: 0, moved: false });
        Self { slots, inside, len: AtomicUsize::new(0) }
    }

    pub(crate) fn slots(&self) -> &Slots {
        &self.slots
    }

    /// How many jobs are in hand: fetched, and their code not ended. Slots that a fetch in flight may fill do
    /// not count.
    pub(crate) fn in_hand(&self) -> usize {
        self.slots.used().saturating_sub(self.expected())
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many jobs wait here.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::SeqCst)
    }

    /// How many jobs fetches in flight may bring.
    fn expected(&self) -> usize {
        self.inside().lanes.iter().map(|lane| lane.expected).sum()
    }

    /// Whether no job waits here.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes units of a lane for a fetch, at most `max`: the free ones and as many more as `ahead` says. Says
    /// how many.
    pub(crate) fn expect(&self, lane: usize, max: usize, ahead: &Ahead) -> usize {
        let slots = &self.slots;
        let mut inside = self.inside();
        let of_lane = (slots.limit_of(lane) + ahead.lanes[lane]).saturating_sub(slots.used_of(lane));
        let of_all = (slots.limit() + ahead.all).saturating_sub(slots.used());
        let taken = of_lane.min(of_all).min(max);
        slots.take(lane, taken);
        inside.lanes[lane].expected += taken;
        taken
    }

    /// These jobs were expected, and have come. Their units are their holder's.
    pub(crate) fn landed(&self, jobs: &[Ready]) {
        let mut inside = self.inside();
        for ready in jobs {
            inside.lanes[ready.lane].expected -= 1;
        }
    }

    /// So many did not come: their units are free.
    pub(crate) fn missed(&self, lanes: &[(usize, usize)]) {
        {
            let mut inside = self.inside();
            for (lane, count) in lanes {
                inside.lanes[*lane].expected -= count;
                self.slots.put_back(*lane, *count);
            }
        }
        self.slots.wake();
    }

    /// Puts jobs in, and takes those out that may start now.
    pub(crate) fn pass(&self, jobs: Vec<Ready>) -> Vec<Ready> {
        let mut inside = self.inside();
        inside.moved = true;
        if self.is_empty() && inside.may_run(&self.slots) {
            // They are counted as running already.
            return jobs;
        }
        for ready in jobs {
            inside.next += 1;
            let number = inside.next;
            inside.lanes[ready.lane].jobs.push_back((number, ready));
        }
        self.recount(&inside);
        self.let_out(&mut inside)
    }

    /// Takes out as many jobs as may start now, first come, first out.
    pub(crate) fn start(&self) -> Vec<Ready> {
        self.let_out(&mut self.inside())
    }

    fn let_out(&self, inside: &mut Inside) -> Vec<Ready> {
        let mut started = Vec::new();
        let mut free = inside.free(&self.slots);
        while let Some(lane) = inside.next_lane(&free) {
            free.all -= 1;
            free.lanes[lane] -= 1;
            started.extend(inside.lanes[lane].jobs.pop_front().map(|(_, ready)| ready));
        }
        inside.moved |= !started.is_empty();
        self.recount(inside);
        started
    }

    fn recount(&self, inside: &Inside) {
        let len = inside.lanes.iter().map(|lane| lane.jobs.len()).sum();
        self.len.store(len, Ordering::SeqCst);
    }

    /// Takes every job out. From here on their units count as running, until they are released.
    pub(crate) fn take_all(&self) -> Vec<Ready> {
        self.take_where(|_| true)
    }

    /// Takes the jobs of these claims out.
    pub(crate) fn take_of(&self, claims: &[ClaimId]) -> Vec<Ready> {
        self.take_where(|ready| claims.contains(&ready.job.lease.claim))
    }

    /// Takes the jobs of a lane out.
    pub(crate) fn take_lane(&self, lane: usize) -> Vec<Ready> {
        self.take_where(|ready| ready.lane == lane)
    }

    /// Takes every job out if none came or went since the last call: what runs has become slow, and others
    /// may be free.
    pub(crate) fn take_idle(&self) -> Vec<Ready> {
        if self.is_empty() || std::mem::take(&mut self.inside().moved) { Vec::new() } else { self.take_all() }
    }

    fn take_where(&self, wanted: impl Fn(&Ready) -> bool) -> Vec<Ready> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut inside = self.inside();
        let mut taken = Vec::new();
        for lane in &mut inside.lanes {
            let (out, stay): (VecDeque<_>, VecDeque<_>) =
                std::mem::take(&mut lane.jobs).into_iter().partition(|(_, ready)| wanted(ready));
            lane.jobs = stay;
            taken.extend(out.into_iter().map(|(_, ready)| ready));
        }
        self.recount(&inside);
        taken
    }
}

/// Slots on which nothing runs.
struct Free {
    lanes: Vec<usize>,
    all: usize,
}

impl Inside {
    fn running_of(&self, lane: usize, slots: &Slots) -> usize {
        let Lane { expected, jobs } = &self.lanes[lane];
        slots.used_of(lane).saturating_sub(expected + jobs.len())
    }

    fn running(&self, slots: &Slots) -> usize {
        let not: usize = self.lanes.iter().map(|lane| lane.expected + lane.jobs.len()).sum();
        slots.used().saturating_sub(not)
    }

    /// Whether everything that counts as running may run.
    fn may_run(&self, slots: &Slots) -> bool {
        self.running(slots) <= slots.limit()
            && (0..self.lanes.len()).all(|lane| self.running_of(lane, slots) <= slots.limit_of(lane))
    }

    fn free(&self, slots: &Slots) -> Free {
        let free = |lane| slots.limit_of(lane).saturating_sub(self.running_of(lane, slots));
        let lanes = (0..self.lanes.len()).map(free).collect();
        Free { lanes, all: slots.limit().saturating_sub(self.running(slots)) }
    }

    /// The lane whose first job came before the others' and may start.
    fn next_lane(&self, free: &Free) -> Option<usize> {
        if free.all == 0 {
            return None;
        }
        let first = |lane: usize| self.lanes[lane].jobs.front().map(|(number, _)| (*number, lane));
        let open = (0..self.lanes.len()).filter(|lane| free.lanes[*lane] > 0);
        open.filter_map(first).min().map(|(_, lane)| lane)
    }
}
