//! Both drivers do what every adapter of the outbox has to do.

use gristmill_outbox_deadpool_postgres::{Caller, Error, Outbox, Within as _, commit};
use gristmill_outbox_testkit::{Act, Adapter, Answer, End, Session, perform, runtime};
use tokio_postgres::NoTls;

/// A connection, or a transaction.
struct Postgres<T>(T);

/// What a user executes.
trait Execute {
    async fn execute(&self, sql: &str) -> Result<(), tokio_postgres::Error>;
}

impl<T: Caller + Execute> Session for Postgres<T> {
    fn execute(&mut self, sql: &str) -> Result<(), String> {
        runtime().block_on(self.0.execute(sql)).map_err(|error| error.to_string())
    }

    fn act(&mut self, outbox: &Outbox, act: Act) -> Result<Answer, Error> {
        runtime().block_on(perform(outbox.within(&self.0), act))
    }
}

/// The same of both drivers, whose types share names but no trait.
macro_rules! adapter {
    ($client:ty, $transaction:ty, $connect:path) => {
        impl Execute for $client {
            async fn execute(&self, sql: &str) -> Result<(), tokio_postgres::Error> {
                self.batch_execute(sql).await
            }
        }

        impl Execute for $transaction {
            async fn execute(&self, sql: &str) -> Result<(), tokio_postgres::Error> {
                self.batch_execute(sql).await
            }
        }

        impl Adapter for Postgres<$client> {
            fn connect(url: &str) -> Self {
                Self(runtime().block_on($connect(url)))
            }

            fn transaction(&mut self, body: &mut dyn FnMut(&mut dyn Session) -> End) -> Result<(), Error> {
                let begun = runtime().block_on(self.0.transaction());
                let mut tx = Postgres(begun.expect("a transaction begins"));
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
    };
}

mod tokio {
    use super::*;

    async fn connect(url: &str) -> tokio_postgres::Client {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("it connects");
        // It ends with its client.
        drop(::tokio::spawn(connection));
        client
    }

    adapter!(tokio_postgres::Client, tokio_postgres::Transaction<'_>, connect);
    gristmill_outbox_testkit::postgres_checks!(Postgres<tokio_postgres::Client>);
}

#[cfg(feature = "deadpool")]
mod deadpool {
    use deadpool_postgres::{Config, Runtime};

    use super::*;

    async fn connect(url: &str) -> deadpool_postgres::Client {
        let config = Config { url: Some(url.to_owned()), ..Config::new() };
        let pool = config.create_pool(Some(Runtime::Tokio1), NoTls).expect("the URL parses");
        pool.get().await.expect("it connects")
    }

    adapter!(deadpool_postgres::Client, deadpool_postgres::Transaction<'_>, connect);
    gristmill_outbox_testkit::postgres_checks!(Postgres<deadpool_postgres::Client>);

    #[test]
    fn the_example_runs() {
        let url = gristmill_outbox_testkit::Site::postgres().url;
        gristmill_outbox_testkit::run_example(
            env!("CARGO_MANIFEST_DIR"),
            "outbox-deadpool-postgres",
            "",
            &url,
        );
    }
}
