//! What the fetcher knows of its lanes: which have more than was fetched, and when each is looked at again.

use std::time::Duration;

use gristmill_core::FetchReply;
use tokio::time::Instant;

use super::appetite::Appetite;

/// The lanes as of the latest answers.
#[derive(Debug)]
pub(super) struct Lanes {
    /// When each lane is looked at although there was no hint.
    look_at: Vec<Instant>,
    /// Of each lane: its last answer left something in its queue.
    is_deep: Vec<bool>,
}

impl Lanes {
    pub(super) fn new(count: usize, poll_interval: Duration) -> Self {
        Self { look_at: vec![Instant::now() + poll_interval; count], is_deep: vec![false; count] }
    }

    /// Of each lane, whether it has more than was fetched.
    pub(super) fn deep(&self) -> &[bool] {
        &self.is_deep
    }

    pub(super) fn any_is_deep(&self) -> bool {
        self.is_deep.contains(&true)
    }

    /// When the next lane is to be looked at; `None` without lanes.
    pub(super) fn next_look(&self) -> Option<Instant> {
        self.look_at.iter().min().copied()
    }

    /// Lanes that had no hint for a while are all looked at, in one call.
    pub(super) fn look(&mut self, appetite: &Appetite, poll_interval: Duration) {
        let now = Instant::now();
        if self.look_at.iter().any(|look_at| *look_at <= now) {
            appetite.look();
            self.look_at.fill(now + poll_interval);
        }
    }

    /// Which lanes have more, by an answer. A look says only that there may be some: it does not see their
    /// kinds. Returns the lanes whose queue is paused.
    pub(super) fn note(
        &mut self,
        reply: &FetchReply,
        is_look: bool,
        appetite: &Appetite,
        poll_interval: Duration,
    ) -> Vec<usize> {
        let spread = 0.9 + fastrand::f64() / 10.0;
        let look_at = Instant::now() + poll_interval.mul_f64(spread);
        let mut paused = Vec::new();
        // A queue may have several lanes, and so several answers: any of them counts for all.
        for queue in &reply.queues {
            for lane in appetite.lanes_of(&queue.queue) {
                self.is_deep[*lane] = false;
                self.look_at[*lane] = look_at;
            }
        }
        for queue in &reply.queues {
            for lane in appetite.lanes_of(&queue.queue) {
                if !queue.exhausted && !queue.paused {
                    self.is_deep[*lane] = !is_look;
                    appetite.keep(*lane);
                }
                if queue.paused {
                    paused.push(*lane);
                }
            }
        }
        paused
    }
}
