//! SIGINT and SIGTERM: the first asks to stop, the second to stop at once.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::failure::{Failure, Result};
use crate::output::say;

/// A signal that comes this soon after the first is taken for the same: `timeout` signals the process and then its whole
/// group, and so does a shell whose terminal is shared.
const SAME_SIGNAL: Duration = Duration::from_millis(250);

/// The two stages of being told to stop.
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
        let listen = |kind| signal(kind).map_err(|error| Failure::io("cannot listen to signals", &error));
        let (interrupt, terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
        // Lives as long as the process; it owns nothing that must be given back.
        tokio::spawn(tell(stop.clone(), interrupt, terminate));
        Ok(stop)
    }
}

async fn tell(stop: Stop, mut interrupt: Signal, mut terminate: Signal) {
    either(&mut interrupt, &mut terminate).await;
    stop.gently.cancel();
    say("stopping; a second signal stops at once");
    let deaf_until = tokio::time::Instant::now() + SAME_SIGNAL;
    loop {
        either(&mut interrupt, &mut terminate).await;
        if tokio::time::Instant::now() >= deaf_until {
            return stop.at_once.cancel();
        }
    }
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
