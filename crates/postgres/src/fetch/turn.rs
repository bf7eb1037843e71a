//! Fetches of one process follow each other through a queue instead of running side by side over the same jobs.
//!
//! A fetch that begins while another one takes jobs steps over each of them, which costs more than taking it. So the
//! second waits until the first tells what it took, long before all its rows are there and its transaction is
//! committed, and then begins behind it.

use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};

/// Waiting longer would cost more than stepping over.
const PATIENCE: Duration = Duration::from_millis(20);
/// Queues whose numbers are equal but for a multiple of this share a turn.
const TURNS: usize = 16;

/// Whose turn it is.
#[derive(Debug, Default)]
pub(crate) struct Turns([Mutex<()>; TURNS]);

impl Turns {
    /// The turn for a queue, or none when it takes too long to come. To be dropped once what was taken is known.
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
