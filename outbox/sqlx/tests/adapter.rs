//! sqlx does what every adapter of the outbox has to do, on both databases.
#![cfg(any(feature = "postgres", feature = "sqlite"))]

use gristmill_outbox::Driver;
use gristmill_outbox_sqlx::{Caller, Connection, Error, Outbox, Within as _, commit};
use gristmill_outbox_testkit::{Act, Adapter, Answer, End, Session, perform, runtime};
use sqlx::{AssertSqlSafe, Executor};

/// A connection of sqlx, or a transaction.
struct Sqlx<T>(T);

impl<T: Caller> Session for Sqlx<T>
where
    for<'c> &'c mut T::Connection: Executor<'c>,
    for<'c> Connection<'c, T::Connection>: Driver,
{
    fn execute(&mut self, sql: &str) -> Result<(), String> {
        let executed = self.0.connection().execute(AssertSqlSafe(sql));
        runtime().block_on(executed).map(drop).map_err(|error| error.to_string())
    }

    fn act(&mut self, outbox: &Outbox, act: Act) -> Result<Answer, Error> {
        runtime().block_on(perform(outbox.within(&mut self.0), act))
    }
}

impl<C> Adapter for Sqlx<C>
where
    C: sqlx::Connection + Caller<Connection = C>,
    C::Database: sqlx::Database<Connection = C>,
    for<'c> &'c mut C: Executor<'c>,
    for<'c> Connection<'c, C>: Driver,
{
    fn connect(url: &str) -> Self {
        Self(runtime().block_on(C::connect(url)).expect("it connects"))
    }

    fn transaction(&mut self, body: &mut dyn FnMut(&mut dyn Session) -> End) -> Result<(), Error> {
        let mut tx = Sqlx(runtime().block_on(self.0.begin()).expect("a transaction begins"));
        match body(&mut tx) {
            End::Commit => runtime().block_on(commit(tx.0)),
            End::RollBack => {
                // It fails where the connection is lost, and the server has rolled back then.
                drop(runtime().block_on(tx.0.rollback()));
                Ok(())
            }
        }
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    gristmill_outbox_testkit::postgres_checks!(super::Sqlx<sqlx::PgConnection>);

    #[test]
    fn the_example_runs() {
        let url = gristmill_outbox_testkit::Site::postgres().url;
        gristmill_outbox_testkit::run_example(env!("CARGO_MANIFEST_DIR"), "outbox-sqlx", "postgres", &url);
    }
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use gristmill_outbox_sqlx::{Within as _, commit};
    use gristmill_outbox_testkit::{Letter, Site, runtime};
    use sqlx::{AssertSqlSafe, Connection as _, Executor as _, SqliteConnection};

    gristmill_outbox_testkit::sqlite_checks!(super::Sqlx<sqlx::SqliteConnection>);

    /// After the rollback of a transaction that SQLite had ended, `begin` works, `begin_with` and an act
    /// outside do not.
    #[test]
    fn sqlx_goes_on_counting_what_sqlite_has_ended() {
        let site = Site::sqlite();
        runtime().block_on(async {
            let mut connection = SqliteConnection::connect(&site.url).await.expect("it connects");
            let mut tx = connection.begin().await.expect("a transaction begins");
            for (verb, goes_well) in [("INSERT", true), ("INSERT OR ROLLBACK", false)] {
                let sql = site.insert(1).replace("INSERT", verb);
                assert_eq!((&mut *tx).execute(AssertSqlSafe(sql)).await.is_ok(), goes_well, "{verb}");
            }
            tx.rollback().await.expect_err("there is none");
            let outside = site.outbox.within(&mut connection).enqueue(Letter::new(1)).await;
            let outside = outside.expect_err("sqlx says that it is inside");
            assert!(outside.to_string().contains("is rolled back already"), "{outside:?}");
            connection.begin_with("BEGIN IMMEDIATE").await.expect_err("sqlx says that it is inside");
            let mut tx = connection.begin().await.expect("a transaction begins");
            site.outbox.within(&mut tx).enqueue(Letter::new(2)).await.expect("it is enqueued");
            commit(tx).await.expect("it commits");
        });
        assert_eq!((site.rows(), site.jobs()), (0, 1));
    }

    #[test]
    fn the_example_runs() {
        let folder = tempfile::tempdir().expect("a folder is made");
        let path = folder.path().join("example.db");
        let path = path.to_str().expect("the path is a text");
        gristmill_outbox_testkit::run_example(
            env!("CARGO_MANIFEST_DIR"),
            "outbox-sqlx-sqlite",
            "sqlite",
            path,
        );
    }
}
