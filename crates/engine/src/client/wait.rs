//! Waiting for a job's end: hints wake, polling decides.

use std::sync::Arc;
use std::time::Duration;

use gristmill_core::{
    Enqueue, Error, ErrorKind, Hint, Job, JobId, JobRecord, JobState, Listener, format_duration,
};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Client;
use crate::call::later;

/// The first look after one that found the job unfinished; each further one waits twice as long.
const FIRST_LOOK: Duration = Duration::from_millis(20);
/// The longest time between two looks.
const LAST_LOOK: Duration = Duration::from_secs(1);

/// Wakes when the job may have ended.
struct Ended {
    job: JobId,
    notify: Arc<Notify>,
}

impl Listener for Ended {
    fn hint(&self, hint: &Hint) {
        if matches!(hint, Hint::Ended(job) if *job == self.job) || *hint == Hint::Missed {
            self.notify.notify_one();
        }
    }

    fn watches_ends(&self) -> bool {
        true
    }
}

impl Client {
    /// Waits until a job has ended and answers its record. It looks again after every hint of the backend
    /// and, since hints may be lost, at growing distances of at most a second.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`] after `timeout`: the job goes on. [`ErrorKind::NotFound`] when there is no
    /// such job, or it ended under a retention of zero. Else the store's error.
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn wait(&self, id: JobId, timeout: Duration) -> Result<JobRecord, Error> {
        let notify = Arc::new(Notify::new());
        let _subscription = self.0.backend.subscribe(Arc::new(Ended { job: id, notify: notify.clone() }));
        let end = later(timeout);
        let mut pause = FIRST_LOOK;
        loop {
            match self.job(id).await? {
                Some(job) if job.state.is_terminal() => return Ok(job),
                Some(_) => {}
                None => {
                    let hint = "it may have ended under a retention of zero, which deletes it at once";
                    return Err(
                        Error::new(ErrorKind::NotFound, format!("there is no job {id}")).with_hint(hint)
                    );
                }
            }
            if Instant::now() >= end {
                let message = format!("job {id} has not ended within {}", format_duration(timeout));
                return Err(Error::new(ErrorKind::TimedOut, message));
            }
            let next_look = end.min(Instant::now() + pause);
            pause = LAST_LOOK.min(pause * 2);
            tokio::select! {
                () = notify.notified() => {}
                () = tokio::time::sleep_until(next_look) => {}
            }
        }
    }

    /// Stores a job, waits until it has completed and answers its output. A job that was there already, by
    /// its unique key, is waited for in its place.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] when it was cancelled or discarded, with the reason; [`ErrorKind::TimedOut`]
    /// after `timeout`: the job goes on. Else as [`Self::enqueue`] and [`Self::wait`].
    ///
    /// # Cancel safety
    /// Dropped, the job is stored or not, and if it is, it runs.
    pub async fn enqueue_and_wait<J: Job>(
        &self,
        job: impl Into<Enqueue<J>>,
        timeout: Duration,
    ) -> Result<J::Output, Error> {
        let receipt = self.enqueue(job).await?;
        let record = self.wait(receipt.id, timeout).await?;
        output_of::<J>(&record)
    }
}

fn output_of<J: Job>(job: &JobRecord) -> Result<J::Output, Error> {
    if job.state != JobState::Completed {
        let mut message = format!("job {} ended {}", job.id, job.state);
        let last_error = job.errors.last().map(|error| error.message.as_str());
        for why in [job.reason.as_deref(), last_error.filter(|_| job.state == JobState::Discarded)] {
            if let Some(why) = why.filter(|why| !message.contains(why)) {
                message = format!("{message}: {why}");
            }
        }
        return Err(Error::new(ErrorKind::Refused, message));
    }
    let output = job.output.as_ref().map_or(&b"null"[..], |output| output.as_bytes());
    serde_json::from_slice(output).map_err(|error| {
        let type_name = std::any::type_name::<J::Output>();
        Error::new(ErrorKind::Invalid, format!("output of job {} does not decode as {type_name}", job.id))
            .with_source(error)
    })
}
