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
                    appetite.mark_hungry(*lane);
                }
                if queue.paused {
                    paused.push(*lane);
                }
            }
        }
        paused
    }
}

#[cfg(test)]
mod tests {
    use gristmill_core::{FetchedQueue, Name, Priority};

    use super::*;
    use crate::worker::options::{QueueOptions, WorkerOptions};

    const POLL: Duration = Duration::from_secs(5);

    /// Lanes 0 and 1 of queue `a`, lane 2 of queue `b`.
    fn appetite() -> Appetite {
        let lane = |queue, priorities| QueueOptions { queue, slots: 1, priorities };
        let urgent = Some((Priority::FIRST, Priority::FIRST));
        let queues = vec![lane(name("a"), urgent), lane(name("a"), None), lane(name("b"), None)];
        Appetite::new(&WorkerOptions { queues, ..WorkerOptions::default() })
    }

    fn name(name: &str) -> Name {
        Name::new(name).unwrap()
    }

    fn found(queue: &str, exhausted: bool) -> FetchedQueue {
        let mut found = FetchedQueue::new(name(queue));
        found.exhausted = exhausted;
        found
    }

    fn reply(queues: Vec<FetchedQueue>) -> FetchReply {
        FetchReply::new(Vec::new(), queues, POLL)
    }

    #[tokio::test]
    async fn any_answer_of_a_queue_counts_for_all_its_lanes() {
        let (mut lanes, appetite) = (Lanes::new(3, POLL), appetite());
        for lane in 0..3 {
            appetite.clear(lane);
        }
        let answers = reply(vec![found("a", false), found("a", true), found("b", true)]);
        assert_eq!(lanes.note(&answers, false, &appetite, POLL), [0_usize; 0]);
        assert_eq!(lanes.deep(), [true, true, false]);
        assert_eq!([0, 1, 2].map(|lane| appetite.is_hungry(lane)), [true, true, false]);
        lanes.note(&reply(vec![found("a", true), found("a", true)]), false, &appetite, POLL);
        assert!(!lanes.any_is_deep());
    }

    #[tokio::test]
    async fn a_look_makes_a_lane_hungry_and_not_deep() {
        let (mut lanes, appetite) = (Lanes::new(3, POLL), appetite());
        appetite.clear(2);
        lanes.note(&reply(vec![found("b", false)]), true, &appetite, POLL);
        assert!(appetite.is_hungry(2) && !lanes.any_is_deep());
    }

    #[tokio::test]
    async fn the_lanes_of_a_paused_queue_are_named() {
        let (mut lanes, appetite) = (Lanes::new(3, POLL), appetite());
        let mut paused = found("a", false);
        paused.paused = true;
        assert_eq!(lanes.note(&reply(vec![paused]), false, &appetite, POLL), [0, 1]);
        assert!(!lanes.any_is_deep());
    }

    #[tokio::test(start_paused = true)]
    async fn lanes_without_a_hint_are_looked_at_once_a_poll_interval() {
        let (mut lanes, appetite) = (Lanes::new(3, POLL), appetite());
        lanes.look(&appetite, POLL);
        assert!(!appetite.begin_look());
        tokio::time::advance(POLL).await;
        lanes.look(&appetite, POLL);
        assert!(appetite.begin_look());
        lanes.look(&appetite, POLL);
        assert!(!appetite.begin_look());
    }
}
