//! The statements of every act, in both databases. The functions and views are made by the backends'
//! migrations.

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
    Request,
    Get,
    List,
}

impl Verb {
    /// In the order of their numbers.
    pub(crate) const ALL: [Self; 4] = [Self::Enqueue, Self::Request, Self::Get, Self::List];

    /// The name of its function or view.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Enqueue => "outbox_enqueue",
            Self::Request => "outbox_request",
            Self::Get => "outbox_get",
            Self::List => "outbox_list",
        }
    }
}

/// The statements of all acts. The answer is a column named `answer`, which some drivers find by its name.
#[derive(Debug)]
pub(crate) struct Statements([String; 4]);

impl Statements {
    /// PostgreSQL: a function an act, in the schema of the store. The caller's search path decides on nothing
    /// in it.
    pub(crate) fn postgres(schema: &str) -> Self {
        let schema = quoted(schema);
        Self(Verb::ALL.map(|verb| format!("SELECT {schema}.{}($1::pg_catalog.text) AS answer", verb.name())))
    }

    /// SQLite: a view an act, whose triggers do it and leave the answer in another view. A look needs no
    /// trigger, and so works in a transaction that only reads.
    pub(crate) fn sqlite() -> Self {
        Self(Verb::ALL.map(|verb| match verb {
            Verb::Get => SQLITE_GET.to_owned(),
            Verb::List => SQLITE_LIST.to_owned(),
            verb => format!(
                "INSERT INTO {} (request) VALUES (?1) RETURNING (SELECT answer FROM outbox_answer) AS answer",
                verb.name()
            ),
        }))
    }

    pub(crate) fn of(&self, verb: Verb) -> &str {
        &self.0[verb as usize]
    }
}

/// From 3.54 on, SQLite takes what a subquery gives for a plain text, hence `json` around each.
const SQLITE_GET: &str = "SELECT coalesce(
    (SELECT mismatch FROM outbox_protocols WHERE (json_extract(?1, '$.protocol') BETWEEN oldest AND newest) IS NOT TRUE),
    json_object('jobs', json((
        SELECT json_group_array(json((
            SELECT job FROM outbox_job WHERE outbox_job.id = unhex(replace(wanted.value, '-', ''))
        )))
        FROM json_each(?1, '$.ids') AS wanted
    )))
) AS answer";

/// The view `outbox_recent` ends at the newest 10,000 jobs.
const SQLITE_LIST: &str = "WITH wanted AS (
    SELECT
        max(1, min(100, coalesce(json_extract(?1, '$.limit'), 100))) AS most,
        json_extract(?1, '$.queue') AS queue, json_extract(?1, '$.kind') AS kind, json_extract(?1, '$.state') AS state
)
SELECT coalesce(
    (SELECT mismatch FROM outbox_protocols WHERE (json_extract(?1, '$.protocol') BETWEEN oldest AND newest) IS NOT TRUE),
    (
        SELECT json_object(
            'jobs', json(json_remove(found.jobs, '$[' || wanted.most || ']')),
            'more', json(iif(json_array_length(found.jobs) > wanted.most, 'true', 'false'))
        )
        FROM wanted, (
            SELECT json_group_array(json((SELECT job FROM outbox_job WHERE outbox_job.id = listed.id))) AS jobs
            FROM (
                SELECT recent.id FROM wanted, outbox_recent AS recent
                WHERE recent.queue = coalesce(wanted.queue, recent.queue)
                    AND recent.kind = coalesce(wanted.kind, recent.kind)
                    AND recent.state = coalesce(wanted.state, recent.state)
                ORDER BY recent.id DESC LIMIT (SELECT most + 1 FROM wanted)
            ) AS listed
        ) AS found
    )
) AS answer";

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
        let text = statements.of(Verb::Enqueue);
        assert_eq!(text, "SELECT \"a\"\"; DROP SCHEMA b; --\".outbox_enqueue($1::pg_catalog.text) AS answer");
    }

    #[test]
    fn every_act_has_its_own_statement() {
        let postgres = Statements::postgres("gristmill");
        for verb in Verb::ALL {
            assert_eq!(
                postgres.of(verb),
                format!("SELECT \"gristmill\".{}($1::pg_catalog.text) AS answer", verb.name())
            );
        }
        let sqlite = Statements::sqlite();
        for verb in [Verb::Enqueue, Verb::Request] {
            assert!(
                sqlite.of(verb).starts_with(&format!("INSERT INTO {} (request)", verb.name())),
                "{verb:?}"
            );
        }
    }

    /// The tests of the SQLite backend send the statements of that README.
    #[test]
    fn the_readme_of_sqlite_shows_the_statements_that_are_sent() {
        let readme = include_str!("../../sqlite/README.md");
        let (_, sql) = readme.split_once("```sql\n").expect("it shows SQL");
        let (sql, _) = sql.split_once("```").expect("the block ends");
        let statements = Statements::sqlite();
        let sent = Verb::ALL.map(|verb| statements.of(verb).strip_suffix(" AS answer").expect("a name"));
        assert_eq!(sql.split_terminator(";\n").collect::<Vec<_>>(), sent);
    }
}
