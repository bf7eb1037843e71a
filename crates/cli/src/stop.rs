//! SIGINT, SIGTERM and SIGHUP: the first asks to stop, the second to stop at once.

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::select_all;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::failure::{Failure, Result};
use crate::output::say;

/// A signal that comes this soon after the first is taken for the same: `timeout` signals the process and
/// then its whole group, and so does a shell whose terminal is shared.
const SAME_SIGNAL: Duration = Duration::from_millis(250);

/// The two stages of a stop.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    /// Finish what runs, begin nothing.
    pub(crate) gently: CancellationToken,
    /// Leave.
    pub(crate) at_once: CancellationToken,
}

impl Stop {
    /// Listens from now on; until then a signal ends the process.
    pub(crate) fn listen() -> Result<Self> {
        let stop = Self { gently: CancellationToken::new(), at_once: CancellationToken::new() };
        let mut signals = Vec::new();
        for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
            if kind != SignalKind::hangup() || !is_hangup_ignored() {
                signals.push(signal(kind).map_err(|error| Failure::io("cannot listen to signals", &error))?);
            }
        }
        // Lives as long as the process; it owns nothing that must be given back.
        tokio::spawn(tell(stop.clone(), signals));
        Ok(stop)
    }
}

/// `nohup` starts a program with SIGHUP ignored, so that it outlives its terminal. Bit 0 of the mask is
/// signal 1.
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

async fn tell(stop: Stop, mut signals: Vec<Signal>) {
    any(&mut signals).await;
    stop.gently.cancel();
    say("stopping; a second signal stops at once");
    let deaf_until = tokio::time::Instant::now() + SAME_SIGNAL;
    loop {
        any(&mut signals).await;
        if tokio::time::Instant::now() >= deaf_until {
            return stop.at_once.cancel();
        }
    }
}

async fn any(signals: &mut [Signal]) {
    select_all(signals.iter_mut().map(|signal| signal.recv().boxed())).await;
}
