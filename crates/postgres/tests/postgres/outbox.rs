//! The functions that store jobs and requests and show jobs, called in another program's transaction.

mod enqueue;
mod equal;
mod held;
mod migrated;
mod options;
mod protocol;
mod qualified;
mod readme;
mod refused;
mod requests;
mod rights;
mod rounds;
mod transaction;
mod wake;

use std::fmt::Write as _;

use gristmill_core::{JobId, NewJob, When};
use gristmill_postgres::tokio_postgres::{Client, NoTls, SimpleQueryMessage, connect};
use gristmill_sql::Options;
use gristmill_testserver::Postgres as Server;
use serde_json::Value;

use crate::fixture::{Schema, runtime};

/// The protocol that requests name.
const PROTOCOL: u32 = 2;

/// What the server says of a statement that it refuses.
#[derive(Debug)]
struct Refused {
    code: String,
    message: String,
    hint: Option<String>,
}

/// A plain connection of another program. `{schema}` in its statements is the schema's name.
pub(crate) struct Caller {
    client: Client,
    schema: String,
}

impl Caller {
    pub(crate) fn of(schema: &Schema) -> Self {
        Self::at(Server::shared().url(), &schema.name)
    }

    fn at(url: &str, schema: &str) -> Self {
        let client = runtime().block_on(async {
            let (client, connection) = connect(url, NoTls).await.expect("it connects");
            tokio::spawn(connection);
            client
        });
        Self { client, schema: schema.to_owned() }
    }

    /// The answer to a request.
    #[track_caller]
    pub(crate) fn ask(&self, verb: &str, request: &str) -> Value {
        self.try_ask(verb, request).expect("it is answered")
    }

    fn try_ask(&self, verb: &str, request: &str) -> Result<Value, Refused> {
        let sql = self.of_schema(&format!("SELECT {{schema}}.outbox_{verb}($1::pg_catalog.text) AS answer"));
        let row =
            runtime().block_on(self.client.query_one(&sql, &[&request])).map_err(|error| refused(&error))?;
        Ok(serde_json::from_str(row.get::<_, &str>("answer")).expect("the answer is JSON"))
    }

    #[track_caller]
    fn run(&self, sql: &str) {
        self.try_run(sql).expect("the statements succeed");
    }

    fn try_run(&self, sql: &str) -> Result<(), Refused> {
        runtime().block_on(self.client.batch_execute(&self.of_schema(sql))).map_err(|error| refused(&error))
    }

    /// The first column, a row a line.
    #[track_caller]
    fn value(&self, sql: &str) -> String {
        self.try_value(sql).expect("the statement succeeds")
    }

    fn try_value(&self, sql: &str) -> Result<String, Refused> {
        let answer = runtime().block_on(self.client.simple_query(&self.of_schema(sql)));
        let answer = answer.map_err(|error| refused(&error))?;
        let rows = answer.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
            _ => None,
        });
        Ok(rows.collect::<Vec<_>>().join("\n"))
    }

    fn of_schema(&self, sql: &str) -> String {
        sql.replace("{schema}", &format!("\"{}\"", self.schema.replace('"', "\"\"")))
    }
}

fn refused(error: &gristmill_postgres::tokio_postgres::Error) -> Refused {
    let error = error.as_db_error().unwrap_or_else(|| panic!("the server has refused nothing: {error}"));
    Refused {
        code: error.code().code().to_owned(),
        message: error.message().to_owned(),
        hint: error.hint().map(str::to_owned),
    }
}

/// A request that stores jobs.
pub(crate) fn storing(jobs: &[NewJob]) -> String {
    let jobs: Vec<String> = jobs.iter().map(written).collect();
    format!(r#"{{"protocol":{PROTOCOL},"jobs":[{}]}}"#, jobs.join(","))
}

fn written(job: &NewJob) -> String {
    let spec = &job.spec;
    let args = std::str::from_utf8(spec.args.as_bytes()).expect("args are text");
    let mut text = format!(
        r#"{{"id":"{}","kind":"{}","queue":"{}","priority":{},"max_attempts":{},"args":{}"#,
        job.id,
        spec.kind,
        spec.queue,
        spec.priority,
        spec.max_attempts,
        Value::from(args)
    );
    if let Some(options) = Options::of(spec) {
        let _ = write!(text, r#","options":{options}"#);
    }
    if let Some(key) = &spec.unique_key {
        text.push_str(r#","key":""#);
        for byte in key.as_str().bytes() {
            let _ = write!(text, "{byte:02x}");
        }
        text.push('"');
    }
    let _ = match job.when {
        When::After(delay) => write!(text, r#","delay_ms":{}"#, gristmill_sql::millis(delay)),
        When::At(at) => write!(text, r#","at_ms":{}"#, at.as_millis()),
        When::Suspended => write!(text, r#","suspended":true"#),
        When::Now => Ok(()),
    };
    text + "}"
}

/// A request about jobs; `more` are further members.
fn about(ids: &[JobId], more: &str) -> String {
    let ids: Vec<String> = ids.iter().map(|id| format!("\"{id}\"")).collect();
    format!(r#"{{"protocol":{PROTOCOL},"ids":[{}]{more}}}"#, ids.join(","))
}

/// A request for a list; `more` are further members.
fn listing(more: &str) -> String {
    format!(r#"{{"protocol":{PROTOCOL}{more}}}"#)
}
