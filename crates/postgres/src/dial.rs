//! A connection outside of the pools, whose notifications are heard.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use gristmill_core::BackendErrorKind;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::types::Type;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls};

use crate::error::{Answer, unavailable};
use crate::notice;
use crate::servers::{Reached, Servers, WHICH};
use crate::statement::{Statements, sql};
use crate::tls;

/// How long the server may take for an answer on such a connection.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// How to connect.
#[derive(Clone)]
pub(crate) struct Dial {
    pub(crate) config: Config,
    pub(crate) verifies: bool,
}

/// What the server says without being asked.
pub(crate) type Messages = Pin<Box<dyn Stream<Item = Result<AsyncMessage, tokio_postgres::Error>> + Send>>;

/// A connection that listens to a schema's channel.
pub(crate) struct Ear {
    client: Client,
    messages: Messages,
    statements: Arc<Statements>,
    channel: String,
    /// The server it hears.
    pub(crate) reached: Reached,
}

impl Dial {
    /// Connects and listens.
    pub(crate) async fn listen(&self, statements: &Arc<Statements>, servers: &Servers) -> Answer<Ear> {
        let connecting = timeout(2 * PATIENCE, self.connect());
        let (client, messages) =
            connecting.await.map_err(|_| unavailable("the server does not answer"))??;
        let channel = notice::channel(statements.schema());
        let mut messages = messages;
        let listen = format!("LISTEN {channel}; {WHICH}");
        let which = answered(client.simple_query(&listen), &mut messages, |_| {}).await?;
        let (statements, reached) = (Arc::clone(statements), servers.reached(&which));
        Ok(Ear { client, messages, statements, channel, reached })
    }

    /// Sends notices to a schema's channel on a connection made for that.
    pub(crate) async fn notify_once(&self, statements: &Statements, texts: &[String]) -> Answer<()> {
        let (client, mut messages) = self.connect().await?;
        let statement = statements.of(sql!("notify"));
        let channel = notice::channel(statements.schema());
        let params = [(&channel as _, Type::TEXT), (&texts as _, Type::TEXT_ARRAY)];
        let asking = client.query_typed(&statement.text, &params);
        answered(asking, &mut messages, |_| {}).await.map(drop)
    }

    /// Connects. The connection lives as long as its messages are asked for.
    pub(crate) async fn connect(&self) -> Answer<(Client, Messages)> {
        if self.config.get_ssl_mode() == SslMode::Disable {
            let (client, connection) = self.config.connect(NoTls).await?;
            return Ok((client, messages(connection)));
        }
        let (client, connection) = self.config.connect(tls::connector(self.verifies)?).await?;
        Ok((client, messages(connection)))
    }
}

fn messages<S, T>(mut connection: Connection<S, T>) -> Messages
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    Box::pin(stream::poll_fn(move |context| connection.poll_message(context)))
}

impl Ear {
    /// The text of the next notification.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn next(&mut self) -> Answer<String> {
        loop {
            match self.messages.next().await {
                Some(Ok(AsyncMessage::Notification(notification))) => {
                    return Ok(notification.payload().to_owned());
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Err(unavailable("the connection to the server was lost").into()),
            }
        }
    }

    /// Notifies the channel it listens to. What is heard meanwhile goes to `hear`.
    pub(crate) async fn notify(&mut self, text: &str, hear: impl FnMut(&str)) -> Answer<()> {
        let Self { client, messages, statements, channel, .. } = self;
        let texts = [text];
        let statement = statements.of(sql!("notify"));
        let params = [(&*channel as _, Type::TEXT), (&&texts[..] as _, Type::TEXT_ARRAY)];
        answered(client.query_typed(&statement.text, &params), messages, hear).await.map(drop)
    }
}

/// Waits for an answer, and keeps the connection going.
async fn answered<T>(
    asking: impl Future<Output = Result<T, tokio_postgres::Error>>,
    messages: &mut Messages,
    mut hear: impl FnMut(&str),
) -> Answer<T> {
    let asking = async {
        tokio::pin!(asking);
        loop {
            tokio::select! {
                answer = &mut asking => return Ok(answer?),
                message = messages.next() => match message {
                    Some(Ok(AsyncMessage::Notification(notification))) => hear(notification.payload()),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(error.into()),
                    None => return Err(unavailable("the connection to the server was lost").into()),
                },
            }
        }
    };
    let late = || gristmill_core::BackendError::new(BackendErrorKind::TimedOut, "the server does not answer");
    timeout(PATIENCE, asking).await.unwrap_or_else(|_| Err(late().into()))
}
