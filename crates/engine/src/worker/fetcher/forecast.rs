//! How many jobs will end while a fetch is on its way: so many more than there are free slots are worth
//! fetching.
//!
//! A slot that is freed would wait for the next fetch's departure and its answer, which for quick jobs is
//! longer than they run. The forecast is the rate at which jobs of a lane ended lately times the time a fetch
//! takes, and as much again for the fetch before it, which is on its way or just being used up. It is nothing
//! where less than one job ends in that time: slow jobs are not leased before there is a slot for them.

use std::time::Duration;

use tokio::time::Instant;

use crate::worker::executor::slots::Slots;

/// Over this time the rate is an average.
const MEMORY: Duration = Duration::from_millis(500);
/// The rate is measured over no less than this.
const SHORTEST_LOOK: Duration = Duration::from_millis(5);
/// Fetches a forecast looks ahead.
const FETCHES: f64 = 2.0;
/// What one more fetch weighs in the average of how long they take.
const NEWEST: f64 = 0.25;

/// How many jobs more than there are free slots are to be fetched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ahead {
    /// By lane.
    pub(crate) lanes: Vec<usize>,
    /// Over all lanes.
    pub(crate) all: usize,
}

impl Ahead {
    /// Takes off what is there already.
    pub(crate) fn less(&mut self, count: usize) {
        self.all = self.all.saturating_sub(count);
        for lane in &mut self.lanes {
            *lane = lane.saturating_sub(count);
        }
    }
}

/// What the forecast is made of.
#[derive(Debug)]
pub(crate) struct Forecast {
    began: Instant,
    looked: Instant,
    ended: Vec<usize>,
    /// Ends a second, by lane.
    rates: Vec<f64>,
    /// How long a fetch takes, in seconds.
    took: Option<f64>,
}

impl Forecast {
    pub(crate) fn new(slots: &Slots, lanes: usize) -> Self {
        let now = Instant::now();
        let ended = (0..lanes).map(|lane| slots.ended_of(lane)).collect();
        Self { began: now, looked: now, ended, rates: vec![0.0; lanes], took: None }
    }

    /// A fetch took this long.
    pub(crate) fn fetched(&mut self, took: Duration) {
        let took = took.as_secs_f64();
        self.took = Some(self.took.map_or(took, |average| average + (took - average) * NEWEST));
    }

    /// Counts what has ended since the last look.
    fn look(&mut self, slots: &Slots) {
        let now = Instant::now();
        let elapsed = now.duration_since(self.looked);
        if elapsed < SHORTEST_LOOK {
            return;
        }
        let seconds = elapsed.as_secs_f64();
        let weight = (seconds / now.duration_since(self.began).min(MEMORY).as_secs_f64()).min(1.0);
        for (lane, (ended, rate)) in self.ended.iter_mut().zip(&mut self.rates).enumerate() {
            let now_ended = slots.ended_of(lane);
            let count = now_ended.wrapping_sub(std::mem::replace(ended, now_ended));
            *rate += (as_f64(count) / seconds - *rate) * weight;
        }
        self.looked = now;
    }

    /// How many to fetch ahead of free slots: at most as many as there are slots, and a fetch brings.
    /// `is_deep` tells of each lane whether it has more than was fetched.
    pub(crate) fn ahead(&mut self, slots: &Slots, batch: usize, is_deep: &[bool]) -> Ahead {
        self.look(slots);
        let took = self.took.unwrap_or_default();
        let worth = |rate: f64, limit: usize, used: usize| {
            // With a whole batch of free slots nothing waits for a fetch to come back.
            let is_wide = limit.saturating_sub(used) >= batch;
            let ends = rate * took;
            if is_wide || ends < 1.0 { 0 } else { floor(ends * FETCHES).min(limit).min(batch) }
        };
        let lane = |lane: usize| {
            if is_deep[lane] { worth(self.rates[lane], slots.limit_of(lane), slots.used_of(lane)) } else { 0 }
        };
        let lanes = (0..self.rates.len()).map(lane).collect();
        let is_any_deep = is_deep.contains(&true);
        let all = if is_any_deep { worth(self.rates.iter().sum(), slots.limit(), slots.used()) } else { 0 };
        Ahead { lanes, all }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of jobs of a few milliseconds")]
fn as_f64(count: usize) -> f64 {
    count as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is positive, and cut off is what is meant"
)]
fn floor(count: f64) -> usize {
    count as usize
}
