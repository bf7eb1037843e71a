//! diesel does what every adapter of the outbox has to do.

use std::process::Command;

use diesel::connection::{AnsiTransactionManager, SimpleConnection as _, TransactionManager as _};
use diesel::{Connection as _, RunQueryDsl as _, SqliteConnection};
use gristmill::Certainty;
use gristmill_core::{BackendErrorKind, ErrorKind};
use gristmill_outbox_diesel::{Error, Outbox, Within as _, commit};
use gristmill_outbox_testkit::{Act, Adapter, Answer, End, Letter, Session, Site, perform_blocking};

/// A connection of diesel, which is in a transaction or not.
struct Diesel(SqliteConnection);

impl Session for Diesel {
    fn execute(&mut self, sql: &str) -> Result<(), String> {
        diesel::sql_query(sql).execute(&mut self.0).map(drop).map_err(|error| error.to_string())
    }

    fn act(&mut self, outbox: &Outbox, act: Act) -> Result<Answer, Error> {
        perform_blocking(outbox.within(&mut self.0), act)
    }
}

impl Adapter for Diesel {
    fn connect(url: &str) -> Self {
        let mut connection = SqliteConnection::establish(url).expect("it opens");
        connection.batch_execute("PRAGMA busy_timeout = 10000").expect("it is set");
        Self(connection)
    }

    fn transaction(&mut self, body: &mut dyn FnMut(&mut dyn Session) -> End) -> Result<(), Error> {
        AnsiTransactionManager::begin_transaction(&mut self.0).expect("a transaction begins");
        match body(self) {
            End::Commit => commit(&mut self.0),
            End::RollBack => {
                // It fails where SQLite has done it already.
                drop(AnsiTransactionManager::rollback_transaction(&mut self.0));
                Ok(())
            }
        }
    }
}

gristmill_outbox_testkit::sqlite_checks!(Diesel);

#[test]
fn the_example_runs() {
    let folder = tempfile::tempdir().expect("a folder is made");
    let path = folder.path().join("example.db");
    let path = path.to_str().expect("the path is a text");
    gristmill_outbox_testkit::run_example(env!("CARGO_MANIFEST_DIR"), "outbox-diesel", "", path);
}

/// The inner one of diesel's transactions is a savepoint; its end stores nothing yet.
#[test]
fn a_nested_transaction_takes_jobs_and_takes_them_back() {
    let site = Site::sqlite();
    let mut connection = Diesel::connect(&site.url).0;
    let id = connection.transaction(|connection| {
        let undone: Result<(), diesel::result::Error> = connection.transaction(|connection| {
            site.outbox.within(connection).enqueue(Letter::new(1)).expect("it is enqueued");
            Err(diesel::result::Error::RollbackTransaction)
        });
        undone.expect_err("it is rolled back");
        AnsiTransactionManager::begin_transaction(connection)?;
        let id = site.outbox.within(connection).enqueue(Letter::new(2)).expect("it is enqueued").id;
        commit(connection).expect("it is released");
        assert_eq!(site.jobs(), 0);
        Ok::<_, diesel::result::Error>(id)
    });
    assert!(site.job(id.expect("it commits")).is_some());
    assert_eq!(site.jobs(), 1);
}

/// After a batch at which SQLite ended the transaction, diesel counts no transaction. No caller can see that
/// there was one.
#[test]
fn a_batch_that_ends_the_transaction_ends_it_for_diesel_too() {
    let site = Site::sqlite();
    let result = Diesel::connect(&site.url).0.transaction(|connection| {
        connection.batch_execute(&site.insert(1))?;
        let again = site.insert(1).replace("INSERT", "INSERT OR ROLLBACK");
        connection.batch_execute(&again).expect_err("the row is there");
        let status = AnsiTransactionManager::transaction_manager_status_mut(connection);
        assert!(matches!(status.transaction_depth(), Ok(None)));
        Ok::<_, diesel::result::Error>(())
    });
    assert!(matches!(result, Err(diesel::result::Error::NotInTransaction)), "{result:?}");
}

/// There is nothing to commit: an error, which has stored nothing.
#[test]
fn a_commit_outside_of_a_transaction_is_an_error() {
    let mut connection = SqliteConnection::establish(":memory:").expect("it opens");
    let error = commit(&mut connection).expect_err("there is no transaction");
    assert_eq!(error.certainty(), Certainty::NotStored, "{error:?}");
}

/// What a COMMIT wrote before the disk failed may be found by the next to open the file; here it was not
/// enough.
#[cfg(unix)]
#[test]
fn a_commit_on_a_disk_that_fails_may_have_stored() {
    const FILE: &str = "GRISTMILL_TEST_FILE";
    if let Ok(path) = std::env::var(FILE) {
        return commit_on_a_disk_that_fails(&path);
    }
    let site = Site::sqlite();
    // In a process of its own, since the limit holds for all its files: what is written beyond it fails, as
    // on a bad disk.
    let script = "trap '' XFSZ; ulimit -f 512; exec \"$0\" \"$1\"";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(std::env::current_exe().expect("it is known"));
    let output =
        command.arg("a_commit_on_a_disk_that_fails").env(FILE, &site.url).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    assert_eq!((site.rows(), site.jobs()), (0, 0));
}

#[cfg(unix)]
fn commit_on_a_disk_that_fails(path: &str) {
    let outbox = Outbox::sqlite();
    let result = Diesel::connect(path).transaction(&mut |tx| {
        let large = "CREATE TABLE large AS SELECT randomblob(1500000) AS bytes";
        tx.execute(large).expect("it is in memory yet");
        tx.act(&outbox, Act::Enqueue(Letter::new(1).into())).expect("it is enqueued");
        End::Commit
    });
    let error = result.expect_err("the disk fails");
    assert_eq!(error.kind(), ErrorKind::Backend(BackendErrorKind::Unavailable), "{error:?}");
    assert_eq!(error.certainty(), Certainty::MaybeStored, "{error:?}");
    assert!(error.to_string().contains("the disk failed at COMMIT"), "{error:?}");
}
