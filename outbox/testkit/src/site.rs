//! A store of its own for each check, with a table of the user's beside it.

use std::sync::OnceLock;

use gristmill::{Client, JobFilter, JobId, JobRecord, MigrateMode, Sqlite};
use gristmill_core::Call;
use gristmill_outbox::Outbox;
use gristmill_testserver::Postgres as Server;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The runtime of all checks; adapters of asynchronous drivers block on it.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
    })
}

/// Where a check happens.
#[derive(Debug)]
pub struct Site {
    /// The server's URL, or the file's path.
    pub url: String,
    /// The outbox that leads to its jobs.
    pub outbox: Outbox,
    /// A client of the same jobs, with connections of its own.
    pub client: Client,
    /// The user's table `(number integer PRIMARY KEY)`.
    pub table: String,
    /// The schema of the jobs.
    pub schema: String,
    folder: Option<TempDir>,
}

impl Site {
    /// A schema of its own on the server that all checks share.
    pub fn postgres() -> Self {
        let (url, schema) = (Server::shared().url().to_owned(), Server::shared().fresh_schema_name());
        let _inside = runtime().enter();
        let backend = gristmill::Postgres::builder(&url).expect("the server's URL parses").schema(&*schema);
        let client =
            Client::new(backend.connections(5).handler_connections(1).open().expect("the settings hold"));
        runtime().block_on(client.migrate(MigrateMode::Up)).expect("the schema is made");
        let table = format!("{schema}_users");
        Server::shared().psql(&format!("CREATE TABLE {table} (number bigint PRIMARY KEY)"));
        Self { url, outbox: Outbox::postgres().schema(&schema), client, table, schema, folder: None }
    }

    /// A file of its own.
    pub fn sqlite() -> Self {
        let folder = TempDir::new().expect("a folder is made");
        let path = folder.path().join("jobs.db");
        let backend = Sqlite::builder(&path).migrate(MigrateMode::Up).open().expect("the file is made");
        let (table, schema) = ("users".to_owned(), "main".to_owned());
        let connection = rusqlite::Connection::open(&path).expect("it opens");
        let made = connection.execute_batch("CREATE TABLE users (number INTEGER PRIMARY KEY)");
        made.expect("the table is made");
        let url = path.to_str().expect("the path is a text").to_owned();
        let client = Client::new(backend);
        Self { url, outbox: Outbox::sqlite(), client, table, schema, folder: Some(folder) }
    }

    /// The statement that inserts a row of the user's.
    pub fn insert(&self, number: i64) -> String {
        format!("INSERT INTO {} VALUES ({number})", self.table)
    }

    /// Executes statements outside of every adapter.
    pub fn execute(&self, sql: &str) {
        if self.is_sqlite() {
            self.file().execute_batch(sql).expect("it is executed");
        } else {
            Server::shared().psql(sql);
        }
    }

    /// How many rows the user's table has.
    pub fn rows(&self) -> i64 {
        let sql = format!("SELECT count(*) FROM {}", self.table);
        if !self.is_sqlite() {
            return Server::shared().psql(&sql).trim().parse().expect("it is a number");
        }
        self.file().query_row(&sql, [], |row| row.get(0)).expect("they are counted")
    }

    /// How many jobs there are.
    pub fn jobs(&self) -> u64 {
        runtime().block_on(self.client.count(JobFilter::new(), None)).expect("they are counted").value
    }

    /// A job, as the store's own client sees it.
    pub fn job(&self, id: JobId) -> Option<JobRecord> {
        runtime().block_on(self.client.job(id)).expect("it is looked for")
    }

    /// Applies the requests of committed transactions, as a worker does.
    pub fn apply(&self) {
        let round = || runtime().block_on(self.client.backend().promote(Call::new(), 1_000));
        while round().expect("requests are applied").more {}
    }

    /// What happened to a job: the events and who caused them.
    pub fn events(&self, id: JobId) -> Vec<(String, Option<String>)> {
        let events = runtime().block_on(self.client.backend().list_events(Call::new(), id));
        events.expect("they are listed").into_iter().map(|event| (event.what, event.actor)).collect()
    }

    /// Whether it is a file.
    pub fn is_sqlite(&self) -> bool {
        self.folder.is_some()
    }

    /// Statements that make the store accept only protocols of a far later library.
    pub(crate) fn newer_protocols(&self) -> String {
        if self.is_sqlite() {
            let set =
                |value: u32, name: &str| format!("UPDATE meta SET value = {value} WHERE name = '{name}';");
            return set(4711, "outbox_oldest") + &set(4712, "outbox_newest");
        }
        format!("UPDATE {}.versions SET outbox_oldest = 4711, outbox_newest = 4712", self.schema)
    }

    /// Where there are no jobs at all, and an outbox that leads there.
    pub(crate) fn without_outbox(&self) -> (String, Outbox) {
        match &self.folder {
            Some(folder) => {
                let path = folder.path().join("empty.db");
                drop(
                    rusqlite::Connection::open(&path)
                        .map(|file| file.execute_batch("CREATE TABLE other (a)")),
                );
                (path.display().to_string(), self.outbox.clone())
            }
            None => (self.url.clone(), Outbox::postgres().schema("no_schema")),
        }
    }

    fn file(&self) -> rusqlite::Connection {
        let connection = rusqlite::Connection::open(&self.url).expect("it opens");
        connection.busy_timeout(std::time::Duration::from_secs(10)).expect("it is set");
        connection
    }
}
