//! What a driver says went wrong, and what it means.

use std::error::Error as StdError;

use gristmill_core::{BackendError, BackendErrorKind as Kind, Error};

use crate::answer::Fault;
use crate::outbox::Outbox;
use crate::statement::{Database, Verb};

/// What a driver says went wrong; an adapter makes it of its driver's error, and this crate says what it means.
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
    /// The database refused a statement. `code` is PostgreSQL's SQLSTATE, or SQLite's result code in decimal (the extended
    /// one, too), where the driver tells it; `message` is the database's own, without what a driver adds.
    pub fn new(
        code: Option<&str>,
        message: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        let (code, message, source) = (code.map(str::to_owned), message.into(), source.into());
        Self { code, message, source, is_lost: false, is_outside: false }
    }

    /// The connection was lost, so that there is no answer. Of a transaction that was not committed nothing is left.
    pub fn lost(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { is_lost: true, ..Self::new(None, "the connection was lost", source) }
    }

    /// The same refusal, of a statement that may have been a transaction of its own: if the connection was lost, it may
    /// have been stored. For adapters that see that no transaction has begun.
    pub fn outside_transaction(mut self) -> Self {
        self.is_outside = true;
        self
    }

    /// What it means when it is the answer to COMMIT: if the connection was lost, the transaction may have been
    /// committed. For the function `commit` of an adapter.
    pub fn at_commit(self) -> Error {
        if self.has_no_answer() {
            return self.maybe_stored(
                "the connection was lost before the answer to COMMIT: the transaction may have been stored",
            );
        }
        self.error(None)
    }

    /// What it means when it is the answer to an act.
    pub(crate) fn into_error(self, outbox: &Outbox, verb: Verb) -> Error {
        match (self.has_no_answer(), self.is_outside) {
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

    /// Whether the server has not said what became of the statement: the connection is gone, or it was just ending it.
    fn has_no_answer(&self) -> bool {
        let is_ended = |state: &str| {
            state.len() == SQLSTATE_BYTES && (state.starts_with("57P") || state.starts_with("08"))
        };
        self.is_lost || self.code.as_deref().is_some_and(is_ended)
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

/// Every SQLSTATE has as many; a result code of SQLite has fewer.
const SQLSTATE_BYTES: usize = 5;

/// A kind, a message and a remedy.
type Meaning = (Kind, String, Option<String>);

fn meaning(kind: Kind, message: &str, hint: &str) -> Meaning {
    (kind, message.to_owned(), Some(hint.to_owned()))
}

/// What a SQLSTATE means (PostgreSQL's manual, appendix A).
fn of_postgres(state: &str, act: Option<(&Outbox, Verb)>) -> Option<Meaning> {
    Some(match (state, act) {
        ("25P02", _) => meaning(
            Kind::Refused,
            "the transaction is aborted: a statement before this one has failed in it",
            "roll it back, or back to a savepoint, and begin anew",
        ),
        ("25006", _) => meaning(
            Kind::ReadOnly,
            "the transaction is read-only",
            "begin it without READ ONLY, on the primary server",
        ),
        ("40001" | "40P01", _) => meaning(
            Kind::Busy,
            "the transaction could not be serialized with others: repeat the whole transaction",
            "at READ COMMITTED, a unique key that another transaction takes is an answer, not an error",
        ),
        ("55P03", _) => meaning(
            Kind::Busy,
            "others hold what the transaction needs",
            "roll it back, and repeat it a moment later",
        ),
        ("57014", _) => (Kind::TimedOut, "the server cancelled the statement".to_owned(), None),
        ("53100", _) => meaning(Kind::Full, "the server's disk is full", "free some space; no job was lost"),
        ("3F000" | "42P01" | "42883", Some((outbox, _))) => no_outbox(outbox),
        ("42501", Some((outbox, verb))) => no_right(outbox, verb),
        _ => return None,
    })
}

/// What a result code of SQLite means (sqlite.org/rescode.html); its low byte is the primary one. Some drivers tell only
/// the message.
fn of_sqlite(code: Option<u32>, message: &str, act: Option<(&Outbox, Verb)>) -> Option<Meaning> {
    let says = |text: &str| message.contains(text);
    Some(match (code.map(|code| code & 0xff), act) {
        (Some(5 | 6), _) => busy(),
        (Some(8), _) => read_only(),
        (Some(13), _) => full(),
        (_, Some((outbox, _))) if says("no such table: outbox_") || says("no such table: main.outbox_") => {
            no_outbox(outbox)
        }
        _ if says("database is locked") || says("database table is locked") => busy(),
        _ if says("attempt to write a readonly database") => read_only(),
        _ if says("database or disk is full") => full(),
        _ => return None,
    })
}

fn busy() -> Meaning {
    meaning(
        Kind::Busy,
        "others write to the file: repeat the whole transaction",
        "set a busy timeout, and begin with BEGIN IMMEDIATE where a transaction reads before it writes",
    )
}

fn read_only() -> Meaning {
    meaning(Kind::ReadOnly, "the file can only be read here", "open the connection for writing")
}

fn full() -> Meaning {
    meaning(Kind::Full, "the disk is full", "free some space; no job was lost")
}

fn no_outbox(outbox: &Outbox) -> Meaning {
    let (store, needed) = (outbox.shown(), outbox.schema_version());
    let message = format!(
        "{store} has no outbox: it is missing or older than version {needed}, which this library needs"
    );
    let hint = match outbox.database() {
        Database::Postgres => "run `gristmill migrate`, or name the right schema with `Outbox::schema`",
        Database::Sqlite => "run `gristmill migrate`, or connect to the file that holds the jobs",
    };
    (Kind::SchemaOld, message, Some(hint.to_owned()))
}

fn no_right(outbox: &Outbox, verb: Verb) -> Meaning {
    let message = format!("the role may not use {} of {}", verb.name(), outbox.shown());
    let schema = crate::statement::quoted(outbox.schema_name());
    let name = verb.name();
    let hint = format!(
        "GRANT USAGE ON SCHEMA {schema} TO the_role; GRANT EXECUTE ON FUNCTION {schema}.{name}(text) TO the_role"
    );
    (Kind::Refused, message, Some(hint))
}

impl Fault {
    /// What it means that the database answered with it.
    pub(crate) fn into_error(self, outbox: &Outbox) -> Error {
        let (store, needed) = (outbox.shown(), outbox.schema_version());
        let error = match self {
            Self::Schema(found) => {
                let message = format!("{store} has version {found}, this library needs {needed}");
                if found > needed {
                    BackendError::new(Kind::SchemaNew, message)
                        .with_hint("upgrade this library to the one that migrated it")
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
