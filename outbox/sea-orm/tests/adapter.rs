//! SeaORM does what every adapter of the outbox has to do, on both databases.
#![cfg(any(feature = "postgres", feature = "sqlite"))]

use gristmill_outbox_sea_orm::{Caller, Error, Outbox, Within as _, commit};
use gristmill_outbox_testkit::{Act, Adapter, Answer, End, Session, perform, runtime};
use sea_orm::{ConnectOptions, Database, DatabaseConnection, TransactionTrait as _};

/// A pool of one connection, or a transaction.
struct SeaOrm<C>(C);

impl<C: Caller> Session for SeaOrm<C> {
    fn execute(&mut self, sql: &str) -> Result<(), String> {
        let executed = runtime().block_on(self.0.execute_unprepared(sql));
        executed.map(drop).map_err(|error| error.to_string())
    }

    fn act(&mut self, outbox: &Outbox, act: Act) -> Result<Answer, Error> {
        runtime().block_on(perform(outbox.within(&self.0), act))
    }
}

impl Adapter for SeaOrm<DatabaseConnection> {
    fn connect(url: &str) -> Self {
        let url = if url.contains("://") { url.to_owned() } else { format!("sqlite://{url}") };
        let mut options = ConnectOptions::new(url);
        options.max_connections(1).sqlx_logging(false);
        Self(runtime().block_on(Database::connect(options)).expect("it connects"))
    }

    fn transaction(&mut self, body: &mut dyn FnMut(&mut dyn Session) -> End) -> Result<(), Error> {
        let mut tx = SeaOrm(runtime().block_on(self.0.begin()).expect("a transaction begins"));
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
    gristmill_outbox_testkit::postgres_checks!(super::SeaOrm<sea_orm::DatabaseConnection>);

    #[test]
    fn the_example_runs() {
        let url = gristmill_outbox_testkit::Site::postgres().url;
        gristmill_outbox_testkit::run_example(env!("CARGO_MANIFEST_DIR"), "outbox-sea-orm", "postgres", &url);
    }
}

#[cfg(feature = "sqlite")]
mod sqlite {
    gristmill_outbox_testkit::sqlite_checks!(super::SeaOrm<sea_orm::DatabaseConnection>);
}
