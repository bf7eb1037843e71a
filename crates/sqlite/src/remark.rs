//! What a committed transaction leaves to the log.

use gristmill_core::JobId;

/// One line of the log, written once the transaction is committed.
#[derive(Debug, Clone)]
pub(crate) enum Remark {
    /// A job that cannot be read was discarded, and what of it.
    JobSetAside(JobId, String),
    /// A request that does not decode, or keeps failing, was set aside, and why.
    RequestSetAside(i64, String),
    /// A request fails with this error and stays.
    RequestFailed(i64, String),
    /// So many requests named a job that does not exist, and were dropped.
    RequestsDropped(usize),
}

/// Logs on a thread of its own: a subscriber that blocks holds up no group. Remarks are rare, and where no
/// thread starts, the rows still show what is wrong.
pub(crate) fn log(remarks: Vec<Remark>) {
    if remarks.is_empty() {
        return;
    }
    let write = move || remarks.into_iter().for_each(Remark::log);
    let _ = std::thread::Builder::new().name("gristmill-sqlite-log".to_owned()).spawn(write);
}

impl Remark {
    fn log(self) {
        match self {
            Self::JobSetAside(job, reason) => {
                gristmill_core::log!(error, %job, reason, "a job cannot be read and is discarded");
            }
            Self::RequestSetAside(request, fault) => {
                gristmill_core::log!(error, request, fault, "a request cannot be applied and is set aside");
            }
            Self::RequestFailed(request, error) => {
                gristmill_core::log!(warn, request, error, "a request fails and will be tried again");
            }
            Self::RequestsDropped(dropped) => {
                gristmill_core::log!(debug, dropped, "requests for jobs that do not exist are dropped");
            }
        }
    }
}
