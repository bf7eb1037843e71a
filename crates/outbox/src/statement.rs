//! The statements of every act, in both databases. The functions and views are made by the backends' migrations.

use std::fmt;

/// The databases that have an outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Database {
    /// PostgreSQL.
    Postgres,
    /// SQLite.
    Sqlite,
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres => "PostgreSQL",
            Self::Sqlite => "SQLite",
        })
    }
}

/// What is done to jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Enqueue,
    Cancel,
    Update,
    Get,
}

impl Verb {
    /// In the order of their numbers.
    pub(crate) const ALL: [Self; 4] = [Self::Enqueue, Self::Cancel, Self::Update, Self::Get];

    /// The name of its function or view.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Enqueue => "outbox_enqueue",
            Self::Cancel => "outbox_cancel",
            Self::Update => "outbox_update",
            Self::Get => "outbox_get",
        }
    }
}

/// The statement of one act.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) text: String,
    pub(crate) answer: Option<&'static str>,
}

/// The statements of all acts.
#[derive(Debug)]
pub(crate) struct Statements([Statement; 4]);

impl Statements {
    /// PostgreSQL: a function an act, in the schema of the store.
    pub(crate) fn postgres(schema: &str) -> Self {
        let schema = quoted(schema);
        Self(Verb::ALL.map(|verb| Statement {
            text: format!("SELECT {schema}.{}($1::text)", verb.name()),
            answer: None,
        }))
    }

    /// SQLite: a view an act, whose triggers do it and leave the answer in another view.
    pub(crate) fn sqlite() -> Self {
        Self(Verb::ALL.map(|verb| Statement {
            text: format!("INSERT INTO {} (request) VALUES (?1)", verb.name()),
            answer: Some("SELECT answer FROM outbox_answer"),
        }))
    }

    pub(crate) fn of(&self, verb: Verb) -> &Statement {
        &self.0[verb as usize]
    }
}

/// A name as an identifier, whatever is in it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schemas_name_is_an_identifier_whatever_is_in_it() {
        let statements = Statements::postgres("a\"; DROP SCHEMA b; --");
        let text = &statements.of(Verb::Enqueue).text;
        assert_eq!(text, "SELECT \"a\"\"; DROP SCHEMA b; --\".outbox_enqueue($1::text)");
    }

    #[test]
    fn every_act_has_its_own_statement() {
        let postgres = Statements::postgres("gristmill");
        for verb in Verb::ALL {
            assert!(postgres.of(verb).text.contains(verb.name()), "{verb:?}");
            assert!(Statements::sqlite().of(verb).text.contains(verb.name()), "{verb:?}");
        }
    }
}
