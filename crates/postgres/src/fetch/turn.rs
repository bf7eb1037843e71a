//! Lets fetches of one handle follow each other through a queue instead of scanning the same jobs side by
//! side.
//!
//! A fetch that begins while another one takes jobs steps over each of them, which costs more than taking it.
//! So the second waits for the first row with jobs of the first, and begins after these. That row arrives
//! before the rows of the jobs and before the commit.
//!
//! A fetch of several queues takes one turn only, that of the lowest queue number. The first row with jobs of
//! any of its queues ends the turn. Turns save work; no rule depends on them.

use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};

/// Waiting longer would cost more than stepping over.
const PATIENCE: Duration = Duration::from_millis(20);
/// Number of turns. Queues whose numbers differ by a multiple of it share one.
const TURNS: usize = 16;

/// The turns of a handle.
#[derive(Debug, Default)]
pub(crate) struct Turns([Mutex<()>; TURNS]);

impl Turns {
    /// Waits for the turn of a queue; `None` if that takes longer than [`PATIENCE`]. Dropping the guard ends
    /// the turn.
    pub(super) async fn wait(&self, queue: i32) -> Option<MutexGuard<'_, ()>> {
        let place = usize::try_from(queue).unwrap_or(0) % TURNS;
        tokio::time::timeout(PATIENCE, self.0[place].lock()).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_turn_is_waited_for_and_not_for_ever() {
        let turns = Turns::default();
        let first = turns.wait(1).await;
        assert!(first.is_some());
        assert!(turns.wait(2).await.is_some(), "another queue");
        assert!(turns.wait(1).await.is_none());
        drop(first);
        assert!(turns.wait(1).await.is_some());
    }
}
