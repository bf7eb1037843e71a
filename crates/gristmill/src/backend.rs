//! The seam below the client: for those who wrap a backend, write one, or call what the client does not
//! offer.
//!
//! A new backend depends on `gristmill-core` and proves itself with the suite of `gristmill-testkit`.

pub use gristmill_core::{
    AuditReply, Backend, BackendError, BackendErrorKind, BackendTx, BoxFuture, Call, ClaimId, Decision, End,
    EndedBy, EnqueueReply, EnqueueRequest, FetchReply, FetchRequest, FetchedJob, FetchedQueue, FinishItem,
    FinishReply, FinishRequest, Hint, IdContext, IdSource, Lease, LeaseToken, Listener, Listeners,
    MAX_BATCH_BYTES, Maintained, PauseRequest, Place, QueueWant, Reason, RecordRequest, Recorded,
    RegisterWorker, RenewReply, RenewRequest, Reply, RescueReply, Rescued, RunEnd, RunFacts, Stay,
    Subscription, VerbRequest, Why,
};
pub use gristmill_engine::Instrumented;
