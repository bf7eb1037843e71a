//! The result of one run in a test.

use gristmill_core::{Ending, Error, ErrorKind, Job, JobId, JobState, Name, Outcome};

/// The result of one run of a job.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Performed {
    /// The job that ran.
    pub id: JobId,
    /// Its kind.
    pub kind: Name,
    /// How the attempt ended: what the handler and its middleware returned, or a failure if its transaction
    /// could not be committed.
    pub outcome: Outcome,
    /// How the run is recorded.
    pub ending: Ending,
    /// State of the job after the run. `None` if the run had lost its lease, so that nothing was stored.
    pub state: Option<JobState>,
}

impl Performed {
    /// Decodes the output that the handler returned, as the type that its job declares.
    ///
    /// ```
    /// # use gristmill_core::{Job, JobError};
    /// # #[derive(serde::Serialize, serde::Deserialize)]
    /// # struct Add { a: i64, b: i64 }
    /// # impl Job for Add { const KIND: &'static str = "add"; type Output = i64; }
    /// # async fn add(job: Add) -> Result<i64, JobError> { Ok(job.a + job.b) }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), gristmill_core::Error> {
    /// use gristmill_engine::testing::TestQueue;
    /// use gristmill_memory::Memory;
    ///
    /// let queue = TestQueue::on(Memory::new()).with_handlers(|worker| worker.handle(add));
    /// queue.client().enqueue(Add { a: 1, b: 2 }).await?;
    /// assert_eq!(queue.drain().await?[0].output::<Add>()?, 3);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Refused`](ErrorKind::Refused) if the attempt did not complete the job; the message has the reason.
    /// [`Invalid`](ErrorKind::Invalid) if the job is of another kind than `J`, or if the output does not
    /// decode.
    pub fn output<J: Job>(&self) -> Result<J::Output, Error> {
        if self.kind.as_str() != J::KIND {
            let message = format!("job {} is of kind `{}`, not `{}`", self.id, self.kind, J::KIND);
            return Err(Error::invalid(message));
        }
        let output = match &self.outcome {
            Outcome::Completed { output } => output.as_ref().map_or(&b"null"[..], |output| output.as_bytes()),
            other => {
                let message = format!("job `{}` did not complete: {}", self.kind, reason(other));
                return Err(Error::new(ErrorKind::Refused, message));
            }
        };
        serde_json::from_slice(output).map_err(|error| {
            let type_name = std::any::type_name::<J::Output>();
            let text = String::from_utf8_lossy(output);
            let message = format!("the output of job `{}` does not decode as {type_name}: {text}", self.kind);
            Error::invalid(message).with_source(error)
        })
    }
}

/// The ending of an attempt that did not complete its job, with the reason.
fn reason(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Completed { .. } => "completed".to_owned(),
        Outcome::Failed { error, .. } => format!("failed: {}", error.message),
        Outcome::Snoozed { after } => format!("snoozed for {after:?}"),
        Outcome::Cancelled { reason } => format!("cancelled: {reason}"),
        Outcome::Discarded { reason } => format!("discarded: {reason}"),
        Outcome::Deferred { reason, .. } => format!("deferred: {reason}"),
    }
}
