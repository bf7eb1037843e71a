//! Short calls for tests of requests to an outbox: apply what is stored, and look at what became of the jobs.
//!
//! Every function panics if the backend fails.

use gristmill_core::{Backend, Call, JobEvent, JobId, JobState, Maintained};

use crate::block_on;

/// One round of promotion, which applies stored requests.
pub fn promote(backend: &dyn Backend) -> Maintained {
    block_on(backend.promote(Call::new(), 1_000)).expect("a round of promotion succeeds")
}

/// Promotes until no round says that there is more. Returns how many requests were applied or set aside, and
/// jobs made available.
pub fn apply(backend: &dyn Backend) -> u64 {
    let mut done = 0;
    loop {
        let round = promote(backend);
        done += round.done;
        if !round.more {
            return done;
        }
    }
}

/// The state of a job; `None` where there is no such job.
pub fn state(backend: &dyn Backend, id: JobId) -> Option<JobState> {
    let jobs = block_on(backend.get(Call::new(), vec![id])).expect("the job is read");
    jobs.into_iter().next().flatten().map(|job| job.state)
}

/// The events of a job, the oldest first.
pub fn events(backend: &dyn Backend, id: JobId) -> Vec<JobEvent> {
    block_on(backend.list_events(Call::new(), id)).expect("the events are read")
}

/// What happened to a job, such as `cancel`, the oldest event first.
pub fn whats(backend: &dyn Backend, id: JobId) -> Vec<String> {
    events(backend, id).into_iter().map(|event| event.what).collect()
}
