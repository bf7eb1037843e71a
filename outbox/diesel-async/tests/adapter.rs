//! diesel-async does what every adapter of the outbox has to do.

use diesel_async::{
    AnsiTransactionManager, AsyncConnection as _, AsyncPgConnection, SimpleAsyncConnection as _,
    TransactionManager as _,
};
use gristmill::Certainty;
use gristmill_outbox_diesel_async::{Error, Outbox, Within as _, commit, transaction};
use gristmill_outbox_testkit::{
    Act, Adapter, Answer, End, Letter, Session, Site, perform, postgres_checks, run_example, runtime,
};

/// A connection, in a transaction or not.
struct Diesel(AsyncPgConnection);

impl Session for Diesel {
    fn execute(&mut self, sql: &str) -> Result<(), String> {
        runtime().block_on(self.0.batch_execute(sql)).map_err(|error| error.to_string())
    }

    fn act(&mut self, outbox: &Outbox, act: Act) -> Result<Answer, Error> {
        runtime().block_on(perform(outbox.within(&mut self.0), act))
    }
}

impl Adapter for Diesel {
    fn connect(url: &str) -> Self {
        Self(runtime().block_on(AsyncPgConnection::establish(url)).expect("it connects"))
    }

    fn transaction(&mut self, body: &mut dyn FnMut(&mut dyn Session) -> End) -> Result<(), Error> {
        let begun = runtime().block_on(AnsiTransactionManager::begin_transaction(&mut self.0));
        begun.expect("a transaction begins");
        match body(self) {
            End::Commit => runtime().block_on(commit(&mut self.0)),
            End::RollBack => {
                // It fails where the connection is lost, and the server has rolled back then.
                drop(runtime().block_on(AnsiTransactionManager::rollback_transaction(&mut self.0)));
                Ok(())
            }
        }
    }
}

postgres_checks!(Diesel);

#[test]
fn a_body_commits_with_a_value_and_rolls_back_with_an_error() {
    let site = Site::postgres();
    let (url, outbox) = (site.url.clone(), site.outbox.clone());
    // Spawned, as in a server: its future can be sent.
    let told = runtime().spawn(async move {
        let mut connection = AsyncPgConnection::establish(&url).await.expect("it connects");
        let stored = transaction(&mut connection, async |connection| {
            anyhow::Ok(outbox.within(connection).enqueue(Letter::new(1)).await?.id)
        })
        .await;
        let mut lost = None;
        let mine: anyhow::Result<()> = transaction(&mut connection, async |connection| {
            lost = Some(outbox.within(connection).enqueue(Letter::new(2)).await?.id);
            Err(anyhow::anyhow!("mine"))
        })
        .await;
        let broken: anyhow::Result<()> = transaction(&mut connection, async |connection| {
            connection.batch_execute("SELECT 1 / 0").await?;
            Ok(())
        })
        .await;
        let broken = broken.expect_err("a statement has failed");
        assert!(broken.is::<diesel::result::Error>(), "{broken:?}");
        assert_eq!(mine.expect_err("it has ended so").to_string(), "mine");
        (stored.expect("it commits"), lost.expect("it was enqueued"))
    });
    let (stored, lost) = runtime().block_on(told).expect("it ends");
    assert!(site.job(stored).is_some());
    assert_eq!((site.job(lost), site.jobs()), (None, 1));
}

/// What a commit comes to, before which the server does this.
fn commit_with(at_commit: &str) -> Error {
    let site = Site::postgres();
    let (table, function) = (&site.table, format!("{}_at_commit", site.schema));
    site.execute(&format!(
        "CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {at_commit}; RETURN NULL; END$$;
        CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON {table} DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION {function}()"
    ));
    let result = Adapter::transaction(&mut Diesel::connect(&site.url), &mut |tx| {
        tx.execute(&site.insert(1)).expect("a row");
        tx.act(&site.outbox, Act::Enqueue(Letter::new(1).into())).expect("it is enqueued");
        End::Commit
    });
    assert_eq!(site.jobs(), 0);
    result.expect_err("it does not commit")
}

/// Diesel does not tell the SQLSTATE by which a server says that it ends the connection.
#[test]
fn a_connection_that_the_server_ends_in_commit_may_have_stored() {
    let error = commit_with("PERFORM pg_terminate_backend(pg_backend_pid())");
    assert_eq!(error.certainty(), Certainty::MaybeStored, "{error:?}");
}

#[test]
fn a_commit_that_the_server_refuses_has_stored_nothing() {
    let error = commit_with("RAISE 'not today'");
    assert_eq!(error.certainty(), Certainty::NotStored, "{error:?}");
    assert!(error.to_string().contains("not today"), "{error}");
}

#[test]
fn a_statement_is_prepared_once_for_all_its_calls() {
    let site = Site::postgres();
    let mut diesel = Diesel::connect(&site.url);
    for number in 0..3 {
        diesel.act(&site.outbox, Act::Enqueue(Letter::new(number).into())).expect("it is enqueued");
    }
    // Each was executed by the same one, which the session still has.
    let counted = diesel.execute(
        "DO $$DECLARE executed bigint[]; BEGIN
            SELECT array_agg(generic_plans + custom_plans) INTO executed FROM pg_prepared_statements
                WHERE statement LIKE '%outbox_enqueue%';
            ASSERT executed = '{3}', executed::text;
        END$$",
    );
    assert_eq!(counted, Ok(()));
}

#[test]
fn the_example_runs() {
    let url = Site::postgres().url;
    run_example(env!("CARGO_MANIFEST_DIR"), "outbox-diesel-async", "", &url);
}
