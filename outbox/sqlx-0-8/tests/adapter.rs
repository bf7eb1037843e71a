//! sqlx 0.8 does what every adapter of the outbox has to do, on both databases.
#![cfg(any(feature = "postgres", feature = "sqlite"))]

use gristmill_outbox::Driver;
use gristmill_outbox_sqlx_0_8::{Caller, Connection, Error, Outbox, Within as _, commit};
use gristmill_outbox_testkit::{Act, Adapter, Answer, End, Session, perform, runtime};
use sqlx::Executor;

/// A connection of sqlx, or a transaction.
struct Sqlx<T>(T);

impl<T: Caller> Session for Sqlx<T>
where
    for<'c> &'c mut T::Connection: Executor<'c>,
    for<'c> Connection<'c, T::Connection>: Driver,
{
    fn execute(&mut self, sql: &str) -> Result<(), String> {
        let executed = self.0.connection().execute(sql);
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
        gristmill_outbox_testkit::run_example(
            env!("CARGO_MANIFEST_DIR"),
            "outbox-sqlx-0-8",
            "postgres",
            &url,
        );
    }
}

#[cfg(feature = "sqlite")]
mod sqlite {
    gristmill_outbox_testkit::sqlite_checks!(super::Sqlx<sqlx::SqliteConnection>);

    #[test]
    fn the_example_runs() {
        let folder = tempfile::tempdir().expect("a folder is made");
        let path = folder.path().join("example.db");
        let path = path.to_str().expect("the path is a text");
        gristmill_outbox_testkit::run_example(
            env!("CARGO_MANIFEST_DIR"),
            "outbox-sqlx-0-8-sqlite",
            "sqlite",
            path,
        );
    }
}
