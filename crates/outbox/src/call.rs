//! One statement on its way to the database.

use std::sync::Arc;

use crate::statement::{Statements, Verb};

/// What a [driver](crate::Driver) sends: one statement with one parameter.
///
/// The text of a statement is always the same for one outbox and one act, so that drivers prepare it once.
#[derive(Debug, Clone)]
pub struct Call {
    statements: Arc<Statements>,
    verb: Verb,
    request: String,
}

impl Call {
    pub(crate) fn new(statements: Arc<Statements>, verb: Verb, request: String) -> Self {
        Self { statements, verb, request }
    }

    /// The statement, with one parameter: `$1` in PostgreSQL, `?1` in SQLite. Its answer is one row with one
    /// column of text, named `answer`. It holds nothing that comes from a job.
    pub fn statement(&self) -> &str {
        self.statements.of(self.verb)
    }

    /// The parameter: a JSON text without the character NUL.
    pub fn request(&self) -> &str {
        &self.request
    }

    pub(crate) fn verb(&self) -> Verb {
        self.verb
    }
}
