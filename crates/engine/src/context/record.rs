//! What an attempt wants kept while it runs, fenced by its lease.

use std::sync::{MutexGuard, PoisonError};

use bytes::Bytes;
use gristmill_core::{Error, ErrorKind, LogLine, RecordRequest, Recorded};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::JobContext;
use super::log::Log;
use crate::cancel::StopWhy;

/// Lines on their way. Unless they are known to be stored they wait again: the call failed or was dropped,
/// and a line with the same number is stored once.
struct Sent<'c> {
    context: &'c JobContext,
    first: u32,
    lines: Vec<LogLine>,
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        if !self.lines.is_empty() {
            self.context.lines().put_back(self.first, std::mem::take(&mut self.lines));
        }
    }
}

impl JobContext {
    /// Stores how far the attempt is, in per cent; more than 100 counts as 100. Log lines go with it.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] when the lease is lost: the job has passed on, and this attempt is signalled to
    /// stop. Else the store's error.
    ///
    /// # Cancel safety
    /// Dropped, the progress may be stored or not; log lines on their way wait for the next call.
    pub async fn progress(&self, percent: u8) -> Result<(), Error> {
        let mut request = self.record_request();
        request.progress = Some(percent.min(100));
        self.record(request).await
    }

    /// Stores a value from which the next attempt may go on. The last one is kept.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it does not serialise or exceeds
    /// [`MAX_CHECKPOINT_BYTES`](RecordRequest::MAX_CHECKPOINT_BYTES); else as [`Self::progress`].
    ///
    /// # Cancel safety
    /// Dropped, the checkpoint may be stored or not.
    pub async fn checkpoint<T: Serialize + Sync + ?Sized>(&self, value: &T) -> Result<(), Error> {
        let json = serde_json::to_vec(value)
            .map_err(|error| Error::invalid("checkpoint does not serialise").with_source(error))?;
        self.checkpoint_bytes(json).await
    }

    /// As [`Self::checkpoint`], with bytes of any form.
    ///
    /// # Errors
    /// As [`Self::checkpoint`].
    ///
    /// # Cancel safety
    /// Dropped, the checkpoint may be stored or not.
    pub async fn checkpoint_bytes(&self, bytes: impl Into<Bytes>) -> Result<(), Error> {
        let bytes = bytes.into();
        let (length, limit) = (bytes.len(), RecordRequest::MAX_CHECKPOINT_BYTES);
        if length > limit {
            let message = format!("{length} bytes of checkpoint are more than the {limit} allowed");
            return Err(Error::invalid(message));
        }
        let mut request = self.record_request();
        request.checkpoint = Some(bytes);
        self.record(request).await
    }

    /// What the latest attempt that left a checkpoint stored with [`Self::checkpoint`].
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it does not decode into `T`; else the store's error.
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn last_checkpoint<T: DeserializeOwned>(&self) -> Result<Option<T>, Error> {
        let Some(bytes) = self.last_checkpoint_bytes().await? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            let type_name = std::any::type_name::<T>();
            Error::invalid(format!("checkpoint does not decode as {type_name}")).with_source(error)
        })
    }

    /// What the latest attempt that left a checkpoint stored with [`Self::checkpoint_bytes`].
    ///
    /// # Errors
    /// The store's.
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn last_checkpoint_bytes(&self) -> Result<Option<Bytes>, Error> {
        self.client().checkpoint(self.id()).await
    }

    /// Adds a line to the run's log, which `gristmill jobs show` prints. Lines are kept in memory until the
    /// next progress, checkpoint or [`Self::flush_log`], or the end of the attempt; the newest
    /// [`MAX_LOG_LINES`](RecordRequest::MAX_LOG_LINES) stay. An attempt that is dropped because it does not
    /// heed its cancellation loses what was not flushed.
    pub fn log(&self, line: impl AsRef<str>) {
        let now = self.client().now();
        self.lines().push(now, line.as_ref());
    }

    /// Stores the lines logged so far. A failure is logged, not returned: a lost line must not fail a job.
    ///
    /// # Cancel safety
    /// Dropped, the lines on their way wait for the next call.
    pub async fn flush_log(&self) {
        while self.has_logged() {
            let request = self.record_request();
            let Err(error) = self.record(request).await else { continue };
            gristmill_core::log!(warn, job = %self.id(), error = %format_args!("{error:#}"), "log lines of a job are not stored");
            return;
        }
    }

    /// Whether something is left to store besides the end of the run: lines or a transaction.
    pub(crate) fn has_more_to_store(&self) -> bool {
        self.has_logged() || self.has_transaction()
    }

    /// Whether there are lines that have not been stored.
    fn has_logged(&self) -> bool {
        self.0.notes.get().is_some() && !self.lines().is_empty()
    }

    /// A request that takes the log lines along.
    fn record_request(&self) -> RecordRequest {
        let mut request = RecordRequest::new(self.lease().clone());
        if self.has_logged() {
            (request.first_line, request.log) = self.lines().take();
        }
        request
    }

    async fn record(&self, request: RecordRequest) -> Result<(), Error> {
        let mut sent = Sent { context: self, first: request.first_line, lines: request.log.clone() };
        match self.client().record(request).await? {
            Recorded::Accepted => {
                sent.lines.clear();
                Ok(())
            }
            Recorded::LeaseLost => {
                self.0.cancel.stop(StopWhy::LeaseLost);
                let message = format!("the lease of job {} is lost: the job has passed on", self.id());
                Err(Error::new(ErrorKind::Refused, message))
            }
        }
    }

    fn lines(&self) -> MutexGuard<'_, Log> {
        self.notes().log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
