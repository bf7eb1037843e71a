//! The transaction of an attempt: with its handler, or back from it.

use std::sync::{MutexGuard, PoisonError};

use gristmill_core::{BackendTx, Error, ErrorKind};

use super::JobContext;

/// Where the transaction of an attempt is.
#[derive(Debug, Default)]
pub(super) enum Slot {
    /// None was begun.
    #[default]
    Unused,
    /// The handler has it, or waits for it.
    Lent,
    /// The handler's code has let go of it.
    Back(Box<dyn BackendTx>),
    /// Its end was begun.
    Ended,
}

/// What a handler whose code has ended leaves behind.
#[derive(Debug)]
pub(crate) enum Left {
    /// It began no transaction.
    Nothing,
    /// Its transaction, open.
    Open(Box<dyn BackendTx>),
    /// It has given its transaction to code that still has it.
    Kept,
}

/// Takes back the mark of a transaction that does not begin.
struct Beginning<'a>(Option<&'a JobContext>);

impl Drop for Beginning<'_> {
    fn drop(&mut self) {
        if let Some(context) = self.0 {
            *context.slot() = Slot::Unused;
        }
    }
}

impl JobContext {
    /// Begins the one transaction of the attempt.
    pub(crate) async fn begin_transaction(&self) -> Result<Box<dyn BackendTx>, Error> {
        {
            let mut slot = self.slot();
            if !matches!(*slot, Slot::Unused) {
                let message = format!("the attempt of job {} has its transaction already", self.id());
                return Err(Error::new(ErrorKind::Refused, message)
                    .with_hint("a handler takes one `Tx`; pass it on by reference"));
            }
            *slot = Slot::Lent;
        }
        let mut beginning = Beginning(Some(self));
        let transaction = self.client().begin(self.lease().clone()).await?;
        beginning.0 = None;
        Ok(transaction)
    }

    /// The handler's code lets go of its transaction.
    pub(crate) fn return_transaction(&self, transaction: Box<dyn BackendTx>) {
        let mut slot = self.slot();
        // Later than the end of the run it is only rolled back.
        if matches!(*slot, Slot::Lent) {
            *slot = Slot::Back(transaction);
        }
    }

    /// Takes what the handler's code, which has ended, leaves of its transaction.
    pub(crate) fn take_transaction(&self) -> Left {
        if self.0.notes.get().is_none() {
            return Left::Nothing;
        }
        let mut slot = self.slot();
        match std::mem::take(&mut *slot) {
            Slot::Unused => Left::Nothing,
            taken => {
                *slot = Slot::Ended;
                match taken {
                    Slot::Back(transaction) => Left::Open(transaction),
                    _ => Left::Kept,
                }
            }
        }
    }

    /// Whether a transaction was begun whose end was not.
    pub(crate) fn has_transaction(&self) -> bool {
        self.0.notes.get().is_some() && matches!(*self.slot(), Slot::Lent | Slot::Back(_))
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.notes().transaction.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
