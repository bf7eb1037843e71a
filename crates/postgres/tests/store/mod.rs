//! Stores for the suite: schemas of one private server, used again once a case is done with them.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use gristmill_core::{Backend, Call, MigrateMode};
use gristmill_postgres::Postgres;
use gristmill_testkit::{Damage, Store};
use gristmill_testserver::Postgres as Server;
use tokio::runtime::Runtime;
use tokio_postgres::NoTls;

/// A new schema takes some tens of milliseconds; emptying a used one takes two.
static FREE: Mutex<Vec<String>> = Mutex::new(Vec::new());

const TABLES: [&str; 20] = [
    "jobs",
    "ready",
    "waiting",
    "claims",
    "attempts",
    "ended",
    "expiries",
    "retried",
    "uniques",
    "tallies",
    "workers",
    "events",
    "records",
    "requests",
    "registers",
    "logs",
    "queues",
    "jobs_default",
    "attempts_default",
    "logs_default",
];

/// An empty store.
pub(crate) fn fresh() -> Store {
    let used = FREE.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let schema = match used {
        Some(schema) => {
            empty(&schema);
            schema
        }
        None => Server::shared().fresh_schema_name(),
    };
    let backend = open(&schema);
    gristmill_testkit::block_on(backend.migrate(Call::new(), MigrateMode::Up)).expect("the schema is made");
    let again = schema.clone();
    let damaged = schema.clone();
    Store::new(backend)
        .with_reopen(move || open(&again))
        .with_damage(move |what| damage(&damaged, what))
        .with_guard(Schema(schema))
}

/// Makes a row unreadable, as a program with `psql` could.
fn damage(schema: &str, what: &Damage) {
    let sql = match what {
        Damage::Kind(id) => format!("UPDATE jobs SET kind = 'two words' WHERE id = '{id}'"),
        Damage::Args(id) => format!("UPDATE jobs SET args = '\\xff' WHERE id = '{id}'"),
        Damage::Options(id) => format!(
            "UPDATE jobs SET options = '{{\"timeout_ms\":-1,\"retry\":[],\"retention\":[],\"tags\":{{}}}}' WHERE id = '{id}'"
        ),
        Damage::MaxAttempts(id) => format!("UPDATE jobs SET max_attempts = -1 WHERE id = '{id}'"),
        Damage::Run(id) => format!("UPDATE ready SET run = -7 WHERE id = '{id}'"),
        Damage::LastRun(id) => format!("UPDATE ready SET run = 2147483645 WHERE id = '{id}'"),
        Damage::Priority(id) => format!(
            "UPDATE ready SET priority = 99 WHERE id = '{id}'; UPDATE jobs SET priority = 99 WHERE id = '{id}'"
        ),
        Damage::Counts(id) => {
            format!("UPDATE ready SET attempt = 2147483647, crashes = 32767 WHERE id = '{id}'")
        }
        Damage::State(id) => format!(
            "UPDATE waiting SET state = 99 WHERE id = '{id}'; UPDATE ended SET state = 99 WHERE id = '{id}'"
        ),
        Damage::Ending(id) => {
            format!("UPDATE attempts SET ending = 77, state = 77, ended_by = 9 WHERE id = '{id}'")
        }
        Damage::Queue(name) => format!("UPDATE queues SET name = 'two words' WHERE name = '{name}'"),
        Damage::Worker(worker) => {
            format!("UPDATE workers SET queues = '{{', kinds = 'x' WHERE worker = '{worker}'")
        }
    };
    execute(&format!("SET search_path = \"{schema}\"; {sql}"));
}

fn open(schema: &str) -> Arc<dyn Backend> {
    let _runtime = runtime().enter();
    let builder = Postgres::builder(Server::shared().url()).expect("the server's URL parses");
    Arc::new(builder.schema(schema).connections(15).handler_connections(8).open().expect("the settings hold"))
}

fn empty(schema: &str) {
    let text = TABLES.map(|table| format!("DELETE FROM \"{schema}\".{table};")).join("\n");
    execute(&text);
}

fn execute(text: &str) {
    runtime().block_on(async {
        let (client, connection) =
            tokio_postgres::connect(Server::shared().url(), NoTls).await.expect("it connects");
        let connection = tokio::spawn(connection);
        client.batch_execute(text).await.expect("the statements run");
        drop(client);
        connection.await.expect("the connection's task ends").expect("the connection ends");
    });
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
    })
}

/// Gives its schema back.
struct Schema(String);

impl Drop for Schema {
    fn drop(&mut self) {
        FREE.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut self.0));
    }
}
