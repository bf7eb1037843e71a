//! Jobs enqueued inside the caller's own database transaction: a job exists if and only if that transaction
//! commits.
//!
//! This crate knows the protocol and no driver. Programs use an adapter, such as `gristmill-outbox-sqlx`,
//! which re-exports what they need; an adapter for another driver is one page: a type that implements
//! [`Driver`] or [`BlockingDriver`], and a function that gives it to [`Outbox::in_transaction`] or
//! [`Outbox::in_blocking_transaction`].
//!
//! Every act is one statement with one parameter, a JSON text, and one answer, another. The statements call
//! functions (in PostgreSQL) or write into views (in SQLite) that belong to the store's schema, so a job is
//! stored as a Gristmill client would store it, with the rights of the schema's owner. Verbs are requested: a
//! worker applies them right after the commit.
//!
//! ```
//! use gristmill_core::{Error, Job};
//! use gristmill_outbox::{BlockingDriver, Call, Database, Outbox, Refusal};
//!
//! /// The caller's connection to SQLite.
//! struct Connection;
//! # impl Connection {
//! #     fn query_text(&mut self, _: &str, _: [&str; 1]) -> Result<String, std::io::Error> {
//! #         Ok(r#"{"now_ms":0,"answers":[{"created":true}]}"#.to_owned())
//! #     }
//! # }
//!
//! struct Adapter<'c>(&'c mut Connection);
//!
//! impl BlockingDriver for Adapter<'_> {
//!     fn database(&self) -> Database {
//!         Database::Sqlite
//!     }
//!
//!     fn send(&mut self, call: &Call) -> Result<String, Refusal> {
//!         let answer = self.0.query_text(call.statement(), [call.request()]);
//!         answer.map_err(|error| Refusal::new(None, error.to_string(), error))
//!     }
//! }
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Welcome { user_id: i64 }
//! impl Job for Welcome { const KIND: &'static str = "email.welcome"; type Output = (); }
//!
//! let outbox = Outbox::sqlite();
//! let mut connection = Connection;
//! let mut jobs = outbox.in_blocking_transaction(Adapter(&mut connection));
//! let receipt = jobs.enqueue(Welcome { user_id: 7 })?;
//! assert!(receipt.is_new());
//! # Ok::<(), Error>(())
//! ```

mod act;
mod answer;
mod blocking;
mod call;
mod chunk;
mod driver;
mod job;
mod list;
mod meaning;
mod outbox;
mod refusal;
mod request;
mod statement;
mod transaction;

pub use blocking::InBlockingTransaction;
pub use call::Call;
pub use driver::{BlockingDriver, Driver};
pub use gristmill_core::{Enqueue, Enqueued, Error, Job, JobId, JobPatch, NewJob, Receipt, RequestReceipt};
pub use job::OutboxJob;
pub use list::{OutboxFilter, OutboxPage};
pub use outbox::Outbox;
pub use refusal::Refusal;
pub use statement::Database;
pub use transaction::InTransaction;
