//! What a driver says went wrong, and what it means.

use std::error::Error as StdError;

use gristmill_core::{BackendError, BackendErrorKind as Kind, Error};

use crate::answer::Fault;
use crate::meaning::{NO_TRANSACTION, SQLSTATE_BYTES, is_io_error, of_postgres, of_sqlite};
use crate::outbox::Outbox;
use crate::request::PROTOCOL;
use crate::statement::Verb;

/// What a driver says went wrong; an adapter makes it of its driver's error, and this crate says what it
/// means.
///
/// ```
/// use gristmill_outbox::Refusal;
///
/// fn refusal(error: std::io::Error) -> Refusal {
///     Refusal::lost(error)
/// }
/// # let _ = refusal;
/// ```
#[derive(Debug)]
pub struct Refusal {
    code: Option<String>,
    message: String,
    source: Box<dyn StdError + Send + Sync>,
    is_lost: bool,
    is_outside: bool,
}

impl Refusal {
    /// The database refused a statement. `code` is PostgreSQL's SQLSTATE, or SQLite's result code in decimal
    /// (the extended one, too), where the driver tells it; `message` is the database's own, without what a
    /// driver adds.
    pub fn new(
        code: Option<&str>,
        message: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        let (code, message, source) = (code.map(str::to_owned), message.into(), source.into());
        Self { code, message, source, is_lost: false, is_outside: false }
    }

    /// The connection was lost, so that there is no answer. Of a transaction that was not committed nothing
    /// is left.
    pub fn lost(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { is_lost: true, ..Self::new(None, "the connection was lost", source) }
    }

    /// For adapters of SQLite whose driver does not tell whether the connection is in a transaction: inside
    /// of one, these statements fail and change nothing (sqlite.org/lang_transaction.html); outside, they go
    /// well and change nothing.
    pub const SQLITE_PROBE: &'static str = "BEGIN; ROLLBACK";

    /// SQLite has ended the transaction by itself (at an `INSERT OR ROLLBACK`, a full disk, an I/O error),
    /// and the driver still counts itself inside. For adapters that see this: what they sent now would be
    /// stored at once, alone.
    pub fn rolled_back() -> Self {
        Self::new(None, NO_TRANSACTION, "SQLite has ended the transaction at an error")
    }

    /// The same refusal, of a statement that may have been a transaction of its own: if the connection was
    /// lost, it may have been stored. For adapters that see that no transaction has begun.
    pub fn outside_transaction(mut self) -> Self {
        self.is_outside = true;
        self
    }

    /// What it means when it is the answer to COMMIT: if the connection was lost, the transaction may have
    /// been committed. For the function `commit` of an adapter.
    pub fn at_commit(self) -> Error {
        if self.has_no_answer() {
            return self.maybe_stored(
                "the connection was lost before the answer to COMMIT: the transaction may have been stored",
            );
        }
        if self.is_of_the_disk() {
            return self.maybe_stored("the disk failed at COMMIT: the transaction may have been stored");
        }
        self.error(None)
    }

    /// What it means when it is the answer to an act.
    pub(crate) fn into_error(self, outbox: &Outbox, verb: Verb) -> Error {
        match (self.has_no_answer(), self.is_outside) {
            (false, true) if self.is_of_the_disk() => {
                self.maybe_stored("the disk failed: outside of a transaction, it may have been stored")
            }
            (false, _) => self.error(Some((outbox, verb))),
            (true, true) => self
                .maybe_stored("the connection was lost: outside of a transaction, it may have been stored"),
            (true, false) => {
                let message = "the connection was lost: nothing of the transaction is stored";
                BackendError::new(Kind::Unavailable, message)
                    .with_hint("repeat the whole transaction")
                    .with_source(self.source)
                    .into()
            }
        }
    }

    /// Whether the server has not said what became of the statement: the connection is gone, or it was just
    /// ending it.
    fn has_no_answer(&self) -> bool {
        let is_ended = |state: &str| {
            state.len() == SQLSTATE_BYTES && (state.starts_with("57P") || state.starts_with("08"))
        };
        self.is_lost || self.code.as_deref().is_some_and(is_ended)
    }

    /// Whether SQLite could not read or write. Of what a COMMIT wrote before that, the next to open the file
    /// may find all.
    fn is_of_the_disk(&self) -> bool {
        match self.code.as_deref() {
            Some(state) if state.len() == SQLSTATE_BYTES => false,
            code => is_io_error(code.and_then(|code| code.parse().ok()), &self.message),
        }
    }

    fn maybe_stored(self, message: &str) -> Error {
        BackendError::new(Kind::Unavailable, message)
            .maybe_stored()
            .with_hint("repeat it with the same prepared jobs (`enqueue_prepared`): their ids make that safe")
            .with_source(self.source)
            .into()
    }

    fn error(self, act: Option<(&Outbox, Verb)>) -> Error {
        let meaning = match self.code.as_deref() {
            Some(state) if state.len() == SQLSTATE_BYTES => of_postgres(state, act),
            code => of_sqlite(code.and_then(|code| code.parse().ok()), &self.message, act),
        };
        let (kind, message, hint) = meaning.unwrap_or((Kind::Refused, self.message, None));
        let error = BackendError::new(kind, message).with_source(self.source);
        match hint {
            Some(hint) => error.with_hint(hint).into(),
            None => error.into(),
        }
    }
}

impl Fault {
    /// What it means that the database answered with it.
    pub(crate) fn into_error(self, outbox: &Outbox) -> Error {
        let store = outbox.shown();
        let error = match self {
            Self::Protocol { oldest, newest } => {
                let message = format!(
                    "{store} accepts the outbox protocols {oldest} to {newest}, this library sends {PROTOCOL}"
                );
                if oldest > PROTOCOL {
                    BackendError::new(Kind::SchemaNew, message).with_hint(
                        "upgrade this library to the release that migrated the schema, or a later one",
                    )
                } else {
                    BackendError::new(Kind::SchemaOld, message).with_hint("run `gristmill migrate`")
                }
            }
            Self::Refused(why) => BackendError::new(Kind::Refused, why),
            Self::Malformed(what, source) => {
                let message = format!("the answer of {store} cannot be read: {what}");
                let error = BackendError::new(Kind::Undecodable, message)
                    .with_hint("check that its functions are those of `gristmill migrate`");
                match source {
                    Some(source) => error.with_source(source),
                    None => error,
                }
            }
        };
        error.into()
    }
}

#[cfg(test)]
mod tests {
    use gristmill_core::{Certainty, ErrorKind};

    use super::*;

    fn refusal(code: Option<&str>, message: &str) -> Refusal {
        Refusal::new(code, message, std::io::Error::other("the driver's words"))
    }

    fn told(outbox: &Outbox, code: Option<&str>, message: &str) -> Error {
        refusal(code, message).into_error(outbox, Verb::Enqueue)
    }

    #[test]
    fn each_sqlstate_says_what_it_means_here() {
        let outbox = Outbox::postgres().schema("jobs");
        let cases = [
            ("25P02", Kind::Refused, "the transaction is aborted"),
            ("25006", Kind::ReadOnly, "the transaction is read-only"),
            ("40001", Kind::Busy, "repeat the whole transaction"),
            ("40P01", Kind::Busy, "waited for each other: repeat the whole transaction"),
            ("55P03", Kind::Busy, "others hold"),
            ("57014", Kind::TimedOut, "cancelled the statement"),
            ("53100", Kind::Full, "disk is full"),
            ("57P01", Kind::Unavailable, "nothing of the transaction is stored"),
            ("08006", Kind::Unavailable, "nothing of the transaction is stored"),
            ("3F000", Kind::SchemaOld, "the schema `jobs` has no outbox"),
            ("42P01", Kind::SchemaOld, "older than this library's protocol"),
            ("42883", Kind::SchemaOld, "the schema `jobs` has no outbox"),
            ("42501", Kind::Refused, "may not use outbox_enqueue of the schema `jobs`"),
            ("22023", Kind::Refused, "the server's words"),
        ];
        for (code, kind, words) in cases {
            let error = told(&outbox, Some(code), "the server's words");
            assert_eq!(error.kind(), ErrorKind::Backend(kind), "{code}");
            assert!(error.to_string().contains(words), "{code}: {error}");
            assert_eq!(error.certainty(), Certainty::NotStored, "{code}");
            let source = std::error::Error::source(&error).map(ToString::to_string);
            assert_eq!(source.as_deref(), Some("the driver's words"), "{code}");
        }
    }

    #[test]
    fn each_result_code_of_sqlite_says_what_it_means_here() {
        let cases = [
            (Some("5"), "x", Kind::Busy, "repeat the whole transaction"),
            (Some("517"), "x", Kind::Busy, "repeat the whole transaction"),
            (Some("6"), "x", Kind::Busy, "repeat the whole transaction"),
            (Some("8"), "x", Kind::ReadOnly, "can only be read"),
            (Some("1032"), "x", Kind::ReadOnly, "can only be read"),
            (Some("13"), "x", Kind::Full, "the disk is full"),
            (Some("1"), "no such table: outbox_enqueue", Kind::SchemaOld, "the file has no outbox"),
            (None, "no such table: outbox_schema", Kind::SchemaOld, "older than this library's protocol"),
            (None, "database is locked", Kind::Busy, "repeat the whole transaction"),
            (None, "attempt to write a readonly database", Kind::ReadOnly, "can only be read"),
            (None, "database or disk is full", Kind::Full, "the disk is full"),
            (Some("1"), "cannot commit - no transaction is active", Kind::Refused, "is rolled back already"),
            (
                Some("1811"),
                "outbox: the request is not JSON",
                Kind::Refused,
                "outbox: the request is not JSON",
            ),
        ];
        for (code, message, kind, words) in cases {
            let error = told(&Outbox::sqlite(), code, message);
            assert_eq!(error.kind(), ErrorKind::Backend(kind), "{code:?} {message}");
            assert!(error.to_string().contains(words), "{code:?}: {error}");
        }
    }

    #[test]
    fn what_sqlite_has_rolled_back_is_not_stored_and_to_begin_anew() {
        let error = Refusal::rolled_back().into_error(&Outbox::sqlite(), Verb::Enqueue);
        assert_eq!(error.kind(), ErrorKind::Backend(Kind::Refused), "{error}");
        assert!(error.to_string().contains("the transaction is rolled back already"), "{error}");
        assert_eq!((error.certainty(), error.is_retryable()), (Certainty::NotStored, false));
        assert!(error.hint().is_some_and(|hint| hint.contains("begin anew")), "{error:?}");
    }

    #[test]
    fn the_remedy_of_a_missing_right_is_the_grant() {
        let error = told(&Outbox::postgres().schema("my jobs"), Some("42501"), "x");
        let hint = error.hint().expect("there is a remedy");
        assert!(hint.contains("GRANT EXECUTE ON FUNCTION \"my jobs\".outbox_enqueue(text) TO"), "{hint}");
    }

    #[test]
    fn a_lost_connection_has_stored_nothing_except_at_the_commit_and_outside_of_a_transaction() {
        let lost = || Refusal::lost(std::io::Error::other("cut"));
        let (outbox, verb) = (Outbox::postgres(), Verb::Enqueue);
        let inside = lost().into_error(&outbox, verb);
        let outside = lost().outside_transaction().into_error(&outbox, verb);
        let ended = refusal(Some("57P01"), "x").outside_transaction().into_error(&outbox, verb);
        let certainties =
            [inside, outside, ended, lost().at_commit(), refusal(Some("57P01"), "x").at_commit()]
                .map(|error| error.certainty());
        let (no, maybe) = (Certainty::NotStored, Certainty::MaybeStored);
        assert_eq!(certainties, [no, maybe, maybe, maybe, maybe]);
        let deferred = refusal(Some("23505"), "duplicate key").at_commit();
        assert_eq!((deferred.certainty(), deferred.to_string().as_str()), (no, "duplicate key"));
    }

    #[test]
    fn the_protocols_that_are_accepted_are_named_beside_the_one_that_is_sent() {
        let newer = PROTOCOL + 1;
        for (oldest, newest, kind) in [(0, 0, Kind::SchemaOld), (newer, newer + 1, Kind::SchemaNew)] {
            let error = Fault::Protocol { oldest, newest }.into_error(&Outbox::postgres());
            assert_eq!(error.kind(), ErrorKind::Backend(kind));
            let wanted = format!(
                "the schema `gristmill` accepts the outbox protocols {oldest} to {newest}, \
                this library sends {PROTOCOL}"
            );
            assert_eq!(error.message(), wanted);
            assert!(error.hint().is_some(), "{error:?}");
        }
    }

    #[test]
    fn the_schema_of_this_release_accepts_what_its_library_sends() {
        assert_eq!(gristmill_sql::OUTBOX_PROTOCOLS.end(), &PROTOCOL);
    }
}
