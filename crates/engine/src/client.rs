//! Enqueues, inspects and operates: thin over the seam.

mod backend;
mod builder;
mod call;
mod enqueue;
mod inspect;
mod many;
mod operate;
mod queues;
mod register;
mod wait;

use std::sync::Arc;
use std::time::Duration;

use gristmill_core::{Backend, Clock, Error, IdSource, JobId, SystemClock, Timestamp, contain};

pub use backend::IntoBackend;
pub use builder::{ClientBuilder, EnqueueMiddleware};
pub use gristmill_core::Receipt;
pub use many::PartlyEnqueued;
pub use operate::Tally;
pub use queues::Queues;

use crate::by_hand::ByHand;
use crate::hooks::Hooks;

/// A handle on a store of jobs. Cloning is cheap; clones share everything.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), gristmill_core::Error> {
/// use gristmill_core::JobOptions;
/// use gristmill_engine::Client;
/// use gristmill_memory::Memory;
///
/// let client = Client::new(Memory::new());
/// let receipt = client.enqueue_raw("email.welcome", r#"{"user_id":7}"#, JobOptions::new()).await?;
/// let job = client.job(receipt.id).await?.expect("it was stored a moment ago");
/// assert_eq!(job.spec.kind.as_str(), "email.welcome");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Client(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    backend: Arc<dyn Backend>,
    clock: Arc<dyn Clock>,
    ids: IdSource,
    call_deadline: Duration,
    actor: Option<String>,
    layers: Vec<builder::Layer>,
    hooks: Hooks,
    /// The worker that the client becomes when jobs are fetched by hand. Held over the registration's await,
    /// so that two fetches at once register one worker.
    by_hand: tokio::sync::Mutex<Option<Arc<ByHand>>>,
}

impl Client {
    /// A client of this backend: the backend itself, or an `Arc` of it.
    pub fn new<M>(backend: impl IntoBackend<M>) -> Self {
        Self::builder(backend).build()
    }

    /// A client with options.
    pub fn builder<M>(backend: impl IntoBackend<M>) -> ClientBuilder {
        ClientBuilder::new(backend.into_backend())
    }

    /// A client that mints ids by another clock; for tests.
    pub fn with_clock<M>(backend: impl IntoBackend<M>, clock: Arc<dyn Clock>) -> Self {
        Self::builder(backend).clock(clock).build()
    }

    /// The backend below, for what the client does not offer.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.0.backend
    }

    /// The worker that this client is; a new one where there is none or it has died.
    pub(crate) async fn by_hand(&self) -> Result<Arc<ByHand>, Error> {
        let mut slot = self.0.by_hand.lock().await;
        match &*slot {
            Some(alive) if alive.is_alive() => Ok(alive.clone()),
            _ => {
                let started = ByHand::start(self.0.backend.clone(), self.0.call_deadline).await?;
                Ok(slot.insert(Arc::new(started)).clone())
            }
        }
    }

    /// A new job id, by the store's clock. Each is greater than the one before.
    pub fn mint_id(&self) -> JobId {
        let offset = self.0.backend.id_context().clock_offset_ms;
        self.0.ids.next(self.now().offset_millis(offset))
    }

    /// The present instant of this process. A clock of the program that panics is replaced by the machine's.
    pub(crate) fn now(&self) -> Timestamp {
        contain(|| self.0.clock.now()).unwrap_or_else(|| SystemClock.now())
    }
}

/// The machine's clock.
fn system_clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}
