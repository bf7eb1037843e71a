//! A cancellation that costs nothing until a handler asks for its token.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio_util::sync::CancellationToken;

/// Why an attempt should stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum StopWhy {
    /// An operator cancelled the job.
    Cancelled = 1,
    /// Its timeout passed.
    Timeout = 2,
    /// Its lease is lost, or about to be.
    LeaseLost = 3,
    /// The worker stops and its grace is over.
    Shutdown = 4,
}

/// The first reason stands. The token is made when a handler first asks for it: most never do.
#[derive(Debug, Default)]
pub(crate) struct Cancel {
    why: AtomicU8,
    token: OnceLock<CancellationToken>,
}

impl Cancel {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn stop(&self, why: StopWhy) {
        let _ = self.why.compare_exchange(0, why as u8, Ordering::SeqCst, Ordering::SeqCst);
        if let Some(token) = self.token.get() {
            token.cancel();
        }
    }

    pub(crate) fn why(&self) -> Option<StopWhy> {
        match self.why.load(Ordering::SeqCst) {
            1 => Some(StopWhy::Cancelled),
            2 => Some(StopWhy::Timeout),
            3 => Some(StopWhy::LeaseLost),
            4 => Some(StopWhy::Shutdown),
            _ => None,
        }
    }

    pub(crate) fn token(&self) -> CancellationToken {
        let token = self.token.get_or_init(CancellationToken::new).clone();
        // `stop` may have come between the check of its token and the making of this one.
        if self.why().is_some() {
            token.cancel();
        }
        token
    }
}
