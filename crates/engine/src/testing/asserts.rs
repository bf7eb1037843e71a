//! Assertions about jobs in a store.

use std::fmt::Write as _;

use gristmill_core::{Args, Error, Job, JobFilter, JobRecord, ListRequest, Name};
use serde_json::Value;

use super::TestQueue;
use crate::Client;

/// Jobs that a failed assertion shows.
const SHOWN: usize = 10;

impl TestQueue {
    /// The jobs of a kind that the store holds, oldest first; at most the newest 1,000.
    ///
    /// # Errors
    /// The store's.
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn jobs_of<J: Job>(&self) -> Result<Vec<JobRecord>, Error> {
        let mut jobs = self.client().list(request::<J>()?).await?.items;
        jobs.reverse();
        Ok(jobs)
    }

    /// As [`Client::missing`].
    #[doc(hidden)]
    pub async fn missing<J: Job>(&self, job: &J) -> Result<Option<String>, Error> {
        self.client().missing(job).await
    }
}

impl Client {
    /// `None` if the store has a job of this kind with these args, in any state; otherwise a message with the
    /// jobs of the kind that it has. For [`assert_enqueued!`](crate::assert_enqueued) and
    /// [`refute_enqueued!`](crate::refute_enqueued).
    ///
    /// # Cancel safety
    /// Changes nothing.
    #[doc(hidden)]
    pub async fn missing<J: Job>(&self, job: &J) -> Result<Option<String>, Error> {
        let wanted = Args::encode(job).map_err(|error| Error::invalid(format!("args: {error}")))?;
        let wanted = value(&wanted);
        let mut message = format!("no job `{}` with args {wanted} is enqueued", J::KIND);
        let (mut shown, mut cursor) = (0, None);
        loop {
            let page = self.list(request::<J>()?.after(cursor)).await?;
            for stored in &page.items {
                let args = value(&stored.spec.args);
                if args == wanted {
                    return Ok(None);
                }
                if shown < SHOWN {
                    shown += 1;
                    // Writing to a `String` cannot fail.
                    let _ = write!(message, "\n  there is: {args} ({})", stored.state);
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(Some(message));
            }
        }
    }
}

fn request<J: Job>() -> Result<ListRequest, Error> {
    let filter = JobFilter::new().kind(Name::new(J::KIND)?);
    Ok(ListRequest::new(filter).limit(ListRequest::MAX_LIMIT))
}

fn value(args: &Args) -> Value {
    args.decode().unwrap_or_default()
}

/// Asserts that a job with these args was enqueued, whatever its state is now. Takes a
/// [`TestQueue`](crate::testing::TestQueue) or a [`Client`](crate::Client) of any store, and awaits, so it is
/// for async tests. Also panics if the store cannot be read.
///
/// A job that an outbox has enqueued is found as soon as its transaction has committed.
///
/// ```
/// # use gristmill_core::Job;
/// # #[derive(serde::Serialize, serde::Deserialize)]
/// # struct Welcome { user_id: i64 }
/// # impl Job for Welcome { const KIND: &'static str = "email.welcome"; type Output = (); }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), gristmill_core::Error> {
/// use gristmill_engine::testing::TestQueue;
/// use gristmill_engine::{assert_enqueued, refute_enqueued};
/// use gristmill_memory::Memory;
///
/// let queue = TestQueue::on(Memory::new());
/// queue.client().enqueue(Welcome { user_id: 7 }).await?;
/// assert_enqueued!(queue, Welcome { user_id: 7 });
/// refute_enqueued!(queue.client(), Welcome { user_id: 8 });
/// # Ok(())
/// # }
/// ```
#[macro_export]
macro_rules! assert_enqueued {
    ($queue:expr, $job:expr $(,)?) => {
        match $queue.missing(&$job).await {
            ::core::result::Result::Ok(::core::option::Option::None) => {}
            ::core::result::Result::Ok(::core::option::Option::Some(message)) => ::core::panic!("{message}"),
            ::core::result::Result::Err(error) => ::core::panic!("the store cannot be read: {error}"),
        }
    };
}

/// Asserts that no job with these args is stored, in whatever state: one that has ended counts, too. The
/// counterpart of [`assert_enqueued!`](crate::assert_enqueued), which has the example.
#[macro_export]
macro_rules! refute_enqueued {
    ($queue:expr, $job:expr $(,)?) => {
        match $queue.missing(&$job).await {
            ::core::result::Result::Ok(::core::option::Option::Some(_)) => {}
            ::core::result::Result::Ok(::core::option::Option::None) => {
                ::core::panic!("a job that must not be enqueued is: {}", ::core::stringify!($job))
            }
            ::core::result::Result::Err(error) => ::core::panic!("the store cannot be read: {error}"),
        }
    };
}
