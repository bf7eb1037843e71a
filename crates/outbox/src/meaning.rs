//! What the codes and messages of the databases mean to a caller: a kind, a message and a remedy.

use gristmill_core::BackendErrorKind as Kind;

use crate::outbox::Outbox;
use crate::request::PROTOCOL;
use crate::statement::{Database, Verb};

/// Every SQLSTATE has as many; a result code of SQLite has fewer.
pub(crate) const SQLSTATE_BYTES: usize = 5;

/// What SQLite says of a COMMIT or ROLLBACK that has nothing to end.
pub(crate) const NO_TRANSACTION: &str = "no transaction is active";

/// A kind, a message and a remedy.
pub(crate) type Meaning = (Kind, String, Option<String>);

fn meaning(kind: Kind, message: &str, hint: &str) -> Meaning {
    (kind, message.to_owned(), Some(hint.to_owned()))
}

/// What a SQLSTATE means (PostgreSQL's manual, appendix A).
pub(crate) fn of_postgres(state: &str, act: Option<(&Outbox, Verb)>) -> Option<Meaning> {
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
        ("40P01", _) => meaning(
            Kind::Busy,
            "the transaction and another one waited for each other: repeat the whole transaction",
            "give jobs with unique keys to one `enqueue_many`, or enqueue them in the same order everywhere",
        ),
        ("40001", _) => meaning(
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

/// What a result code of SQLite means (sqlite.org/rescode.html); its low byte is the primary one. Some
/// drivers tell only the message.
pub(crate) fn of_sqlite(code: Option<u32>, message: &str, act: Option<(&Outbox, Verb)>) -> Option<Meaning> {
    let says = |text: &str| message.contains(text);
    Some(match (code.map(|code| code & 0xff), act) {
        (Some(5 | 6), _) => busy(),
        (Some(8), _) => read_only(),
        _ if is_io_error(code, message) => meaning(
            Kind::Unavailable,
            "the disk failed",
            "check the disk; roll the transaction back and repeat it",
        ),
        (Some(13), _) => full(),
        (_, Some((outbox, _))) if says("no such table: outbox_") || says("no such table: main.outbox_") => {
            no_outbox(outbox)
        }
        _ if says(NO_TRANSACTION) => meaning(
            Kind::Refused,
            "the transaction is rolled back already: SQLite ended it at a statement that failed before this one",
            "roll it back for the driver as well, and begin anew",
        ),
        _ if says("database is locked") || says("database table is locked") => busy(),
        _ if says("attempt to write a readonly database") => read_only(),
        _ if says("database or disk is full") => full(),
        _ => return None,
    })
}

pub(crate) fn is_io_error(code: Option<u32>, message: &str) -> bool {
    code.map_or_else(|| message.contains("disk I/O error"), |code| code & 0xff == 10)
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
    let store = outbox.shown();
    let message =
        format!("{store} has no outbox: it is missing, or older than this library's protocol {PROTOCOL}");
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
