//! rusqlite does what every adapter of the outbox has to do.

use std::convert::Infallible;
use std::process::Command;
use std::time::{Duration, Instant};

use gristmill::{Certainty, JobExt as _, JobState, Worker};
use gristmill_core::{BackendErrorKind, ErrorKind};
use gristmill_outbox_rusqlite::{Error, Outbox, Within as _, commit};
use gristmill_outbox_testkit::{Act, Adapter, Answer, End, Letter, Session, Site, perform_blocking, runtime};
use rusqlite::{Connection, Transaction};

/// A connection of rusqlite, or a transaction.
struct Rusqlite<T>(T);

fn execute(connection: &Connection, sql: &str) -> Result<(), String> {
    connection.execute_batch(sql).map_err(|error| error.to_string())
}

impl Session for Rusqlite<Connection> {
    fn execute(&mut self, sql: &str) -> Result<(), String> {
        execute(&self.0, sql)
    }

    fn act(&mut self, outbox: &Outbox, act: Act) -> Result<Answer, Error> {
        perform_blocking(outbox.within(&self.0), act)
    }
}

impl Session for Rusqlite<Transaction<'_>> {
    fn execute(&mut self, sql: &str) -> Result<(), String> {
        execute(&self.0, sql)
    }

    fn act(&mut self, outbox: &Outbox, act: Act) -> Result<Answer, Error> {
        perform_blocking(outbox.within(&self.0), act)
    }
}

impl Adapter for Rusqlite<Connection> {
    fn connect(url: &str) -> Self {
        let connection = Connection::open(url).expect("it opens");
        connection.busy_timeout(Duration::from_secs(10)).expect("it is set");
        Self(connection)
    }

    fn transaction(&mut self, body: &mut dyn FnMut(&mut dyn Session) -> End) -> Result<(), Error> {
        let mut tx = Rusqlite(self.0.transaction().expect("a transaction begins"));
        match body(&mut tx) {
            End::Commit => commit(tx.0),
            End::RollBack => {
                // It fails where SQLite has done it already.
                drop(tx.0.rollback());
                Ok(())
            }
        }
    }
}

gristmill_outbox_testkit::sqlite_checks!(Rusqlite<Connection>);

#[test]
fn the_example_runs() {
    let folder = tempfile::tempdir().expect("a folder is made");
    let path = folder.path().join("example.db");
    let path = path.to_str().expect("the path is a text");
    gristmill_outbox_testkit::run_example(env!("CARGO_MANIFEST_DIR"), "outbox-rusqlite", "", path);
}

/// rusqlite's own savepoints lead to their connection.
#[test]
fn a_savepoint_of_rusqlite_takes_jobs_and_takes_them_back() {
    let site = Site::sqlite();
    let mut connection = Rusqlite::connect(&site.url).0;
    let mut tx = connection.transaction().expect("a transaction begins");
    let undone = tx.savepoint().expect("a savepoint");
    site.outbox.within(&undone).enqueue(Letter::new(1)).expect("it is enqueued");
    undone.finish().expect("it is rolled back");
    let kept = tx.savepoint().expect("a savepoint");
    let id = site.outbox.within(&kept).enqueue(Letter::new(2)).expect("it is enqueued").id;
    kept.commit().expect("it is released");
    commit(tx).expect("it commits");
    assert!(site.job(id).is_some());
    assert_eq!(site.jobs(), 1);
}

#[test]
fn a_savepoint_that_sqlite_has_ended_takes_nothing() {
    let site = Site::sqlite();
    let mut connection = Rusqlite::connect(&site.url).0;
    let savepoint = connection.savepoint().expect("a savepoint");
    savepoint.execute_batch(&site.insert(1)).expect("a row");
    savepoint.execute_batch("INSERT OR ROLLBACK INTO users VALUES (1)").expect_err("the row is there");
    let error = site.outbox.within(&savepoint).enqueue(Letter::new(1)).expect_err("there is no transaction");
    assert!(error.to_string().contains("is rolled back already"), "{error:?}");
    drop(savepoint);
    assert_eq!(site.jobs(), 0);
}

/// What a program sets on its connections, for its own tables, does not change what becomes of a job.
#[test]
fn the_settings_of_a_connection_do_not_matter() {
    let site = Site::sqlite();
    let connection = Rusqlite::connect(&site.url).0;
    for name in ["foreign_keys", "recursive_triggers", "case_sensitive_like", "reverse_unordered_selects"] {
        connection.execute_batch(&format!("PRAGMA {name} = ON")).expect("it is set");
    }
    connection.execute_batch("PRAGMA trusted_schema = OFF").expect("it is set");
    let mut within = site.outbox.within(&connection);
    let letter = Letter::new(1).unique_key("clé").tag("t").metadata("tenant", "acme");
    let first = site.outbox.prepare(letter.timeout(Duration::from_secs(7))).expect("it is valid");
    let second = site.outbox.prepare(Letter::new(2)).expect("it is valid");
    let receipts =
        within.enqueue_prepared(&[first.clone(), second.clone(), first.clone()]).expect("they are enqueued");
    assert_eq!(receipts.iter().map(gristmill::Receipt::is_new).collect::<Vec<_>>(), [true, true, false]);
    let id = first.id;
    assert_eq!(receipts[2].id, id);
    within.cancel(id).expect("it is stored");
    let seen = within.get(id).expect("it is answered").expect("it is there");
    assert_eq!(seen.spec, first.spec);
    assert_eq!(site.job(id).map(|job| (job.state, job.spec)), Some((seen.state, seen.spec)));
}

/// RM26: an idle worker learns of the commit from the file, and its promoter applies the request.
#[test]
fn rm26_an_idle_worker_applies_a_request_within_a_second_of_its_commit() {
    async fn deliver(_: Letter) -> Result<(), Infallible> {
        Ok(())
    }
    let site = Site::sqlite();
    let worker = Worker::builder(site.client.clone()).queue("elsewhere", 1).handle(deliver).build();
    let worker = worker.expect("it is complete");
    let handle = worker.handle();
    let running = runtime().spawn(worker.run());
    let mut connection = Rusqlite::connect(&site.url).0;
    for number in 0..3 {
        let tx = connection.transaction().expect("a transaction begins");
        let id = site.outbox.within(&tx).enqueue(Letter::new(number)).expect("it is enqueued").id;
        site.outbox.within(&tx).cancel(id).expect("it is stored");
        commit(tx).expect("it commits");
        let begun = Instant::now();
        while site.job(id).expect("it is kept").state != JobState::Cancelled {
            assert!(begun.elapsed() < Duration::from_secs(1), "it is applied within a second");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
    handle.stop();
    runtime().block_on(running).expect("it does not panic").expect("it has run");
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
    let mut connection = Rusqlite::connect(path).0;
    let outbox = Outbox::sqlite();
    let tx = connection.transaction().expect("a transaction begins");
    tx.execute_batch("CREATE TABLE large AS SELECT randomblob(1500000) AS bytes")
        .expect("it is in memory yet");
    outbox.within(&tx).enqueue(Letter::new(1)).expect("it is enqueued");
    let error = commit(tx).expect_err("the disk fails");
    assert_eq!(error.kind(), ErrorKind::Backend(BackendErrorKind::Unavailable), "{error:?}");
    assert_eq!(error.certainty(), Certainty::MaybeStored, "{error:?}");
    assert!(error.to_string().contains("the disk failed at COMMIT"), "{error:?}");
}
