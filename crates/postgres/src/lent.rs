//! Our statements on a connection of the caller's: his transaction, in which they are stored if and only if
//! it commits.
//!
//! The borrow of it would go through every function that takes a session. So a session sends its statements
//! to the [`Lender`], which holds the borrow: both are halves of one future, and no task is started.
//! Statements go unnamed, so that nothing of ours is left prepared.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Row};

use crate::error::{Answer, Fail, unavailable, undecodable};
use crate::handle::Inner;
use crate::session::{Params, Session};
use crate::statement::Ready;

/// A statement on its way to the lender.
#[derive(Debug)]
struct Asked {
    statement: Arc<Ready>,
    params: Vec<Encoded>,
    answer: oneshot::Sender<Result<Vec<Row>, tokio_postgres::Error>>,
}

/// The half of a session on a lent connection.
#[derive(Debug)]
pub(crate) struct Borrower(mpsc::Sender<Asked>);

/// The half that holds the connection.
#[derive(Debug)]
pub(crate) struct Lender(mpsc::Receiver<Asked>);

impl Inner {
    /// A session whose statements the lender sends. It neither begins nor commits.
    pub(crate) fn lend(&self) -> (Session, Lender) {
        let (sender, receiver) = mpsc::channel(1);
        let session =
            Session::lent(Borrower(sender), Arc::clone(&self.statements), Arc::clone(&self.cursors));
        (session, Lender(receiver))
    }
}

impl Borrower {
    pub(crate) async fn ask(&self, statement: Arc<Ready>, params: &Params<'_>) -> Answer<Vec<Row>> {
        let params = params.iter().zip(&statement.types).map(|(param, is)| Encoded::of(*param, is));
        let params = params.collect::<Answer<Vec<Encoded>>>()?;
        let (answer, rows) = oneshot::channel();
        // The lender goes first only when the caller has given up.
        let gone = || Fail::from(unavailable("the transaction was given up"));
        self.0.send(Asked { statement, params, answer }).await.map_err(|_| gone())?;
        rows.await.map_err(|_| gone())?.map_err(Fail::Broken)
    }
}

impl Lender {
    /// Does `work`, whose session is the other half, on this connection.
    ///
    /// # Cancel safety
    /// Dropped, a statement in flight is done or not done, within the caller's transaction.
    pub(crate) async fn serve<T>(
        mut self,
        client: &Client,
        work: impl Future<Output = Answer<T>>,
    ) -> Answer<T> {
        let mut work = std::pin::pin!(work);
        loop {
            let asked = tokio::select! {
                biased;
                answer = &mut work => return answer,
                Some(asked) = self.0.recv() => asked,
            };
            let Asked { statement, params, answer } = asked;
            let typed: Vec<(&(dyn ToSql + Sync), Type)> = params
                .iter()
                .map(|param| param as &(dyn ToSql + Sync))
                .zip(statement.types.iter().cloned())
                .collect();
            let rows = client.query_typed(&statement.text, &typed).await;
            // The receiver is gone if the work was dropped.
            let _ = answer.send(rows);
        }
    }
}

/// A parameter in its binary form.
#[derive(Debug)]
struct Encoded(Option<Bytes>);

impl Encoded {
    fn of(param: &(dyn ToSql + Sync), is: &Type) -> Answer<Self> {
        let mut out = BytesMut::new();
        match param.to_sql_checked(is, &mut out) {
            Ok(IsNull::No) => Ok(Self(Some(out.freeze()))),
            Ok(IsNull::Yes) => Ok(Self(None)),
            Err(error) => Err(undecodable("parameter").with_source(error).into()),
        }
    }
}

impl ToSql for Encoded {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        Ok(match &self.0 {
            Some(bytes) => {
                out.extend_from_slice(bytes);
                IsNull::No
            }
            None => IsNull::Yes,
        })
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}
