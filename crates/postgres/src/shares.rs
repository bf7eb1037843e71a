//! How the connections of a process are shared out.

use gristmill_core::{BackendError, BackendErrorKind};

/// Connections for all but handlers where nothing is set.
const OTHERS: usize = 8;
/// Connections for handlers where nothing is set.
const HANDLERS: usize = 8;
/// With fewer than this in all, heartbeats have one of their own instead of two, and reads none.
const ENOUGH: usize = 8;

/// Connections for each purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shares {
    /// For fetches, finishes, enqueues, verbs and maintenance.
    pub(crate) work: usize,
    /// For heartbeats: one that beats, and one that registers, retires or notifies meanwhile.
    pub(crate) control: usize,
    /// For the inspection; with none it shares those for work.
    pub(crate) reads: usize,
    /// For transactions of handlers.
    pub(crate) handlers: usize,
    /// For notifications.
    pub(crate) listener: usize,
}

impl Shares {
    /// Shares out so many connections, of which so many are for handlers; where nothing is set, as many as
    /// fit.
    pub(crate) fn of(
        connections: Option<usize>,
        handlers: Option<usize>,
        listens: bool,
    ) -> Result<Self, BackendError> {
        let all = connections.unwrap_or(OTHERS + handlers.unwrap_or(HANDLERS));
        let (control, reads) = if all < ENOUGH { (1, 0) } else { (2, 1) };
        let listener = usize::from(listens);
        let rest = all.saturating_sub(control + reads + listener);
        // A third for work, so that handlers with transactions of their own have room.
        let given = handlers.unwrap_or_default();
        let handlers = handlers.unwrap_or(rest - rest.div_ceil(3));
        let work = rest.saturating_sub(handlers);
        if work == 0 {
            let few = 2 + listener + given;
            let least = if few < ENOUGH { few } else { few + 2 };
            let message = match given {
                0 => format!("`connections` is at least {least}"),
                _ => format!("`connections` is at least {least} with {given} of them for handlers"),
            };
            return Err(BackendError::new(BackendErrorKind::Refused, message)
                .with_hint("one listens, one is for heartbeats, and one for work"));
        }
        Ok(Self { work, control, reads, handlers, listener })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(connections: impl Into<Option<usize>>, handlers: impl Into<Option<usize>>) -> Shares {
        Shares::of(connections.into(), handlers.into(), true).expect("it is enough")
    }

    #[test]
    fn nothing_set_is_sixteen_of_which_half_are_for_handlers() {
        let shares = shares(None, None);
        assert_eq!(shares, Shares { work: 4, control: 2, reads: 1, handlers: 8, listener: 1 });
    }

    #[test]
    fn a_program_without_transactions_of_handlers_has_eight() {
        assert_eq!(shares(None, 0), Shares { work: 4, control: 2, reads: 1, handlers: 0, listener: 1 });
    }

    #[test]
    fn the_sum_is_what_is_set_however_few_that_are() {
        for all in 3..60 {
            let shares = shares(all, None);
            let Shares { work, control, reads, handlers, listener } = shares;
            assert_eq!(work + control + reads + handlers + listener, all);
            assert!(shares.work > 0 && shares.control > 0, "{shares:?}");
        }
        assert!(Shares::of(Some(2), None, true).is_err());
        assert!(Shares::of(Some(2), None, false).is_ok());
        assert!(Shares::of(Some(10), Some(9), true).is_err());
    }
}
