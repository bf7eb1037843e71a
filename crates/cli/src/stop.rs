//! SIGINT and SIGTERM: the first asks to stop, the second to stop at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::failure::{Failure, Result};
use crate::output::say;

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
    for stage in [&stop.gently, &stop.at_once] {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        stage.cancel();
        if !stop.at_once.is_cancelled() {
            say("stopping; a second signal stops at once");
        }
    }
}
