//! Waiting for facts in other processes, which give no signal.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How often a fact is looked for.
const INTERVAL: Duration = Duration::from_millis(3);

/// Looks until `holds` or `patience` is over; true if it came to hold.
#[expect(clippy::disallowed_methods, reason = "another process can only be looked at again")]
pub(crate) fn until(patience: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    loop {
        if holds() {
            return true;
        }
        if started.elapsed() > patience {
            return false;
        }
        thread::sleep(INTERVAL);
    }
}
