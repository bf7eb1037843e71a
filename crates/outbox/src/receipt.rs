//! What the outbox returns for a request.

/// A request to cancel, update or delete a job, stored in the caller's transaction.
///
/// It says that the request is stored, not what becomes of it. A worker applies it right after the transaction
/// has committed, or within about a second where no notification reaches it. If the job does not allow the verb
/// by then, the job gets the event `request refused`; a request for a job that does not exist is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct RequestReceipt {
    /// Number of the request in its store. Requests are applied in the order of these numbers, as far as their
    /// transactions have committed.
    pub request: u64,
}
