//! Whether a notification comes back: on a connection of its own, as the listener has one.

use std::future::poll_fn;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_postgres::config::SslMode;
use tokio_postgres::{AsyncMessage, Client, Connection, NoTls};

use crate::error::{Answer, unavailable};
use crate::handle::Inner;
use crate::tls;

/// Says something to itself, and waits until it is heard.
pub(super) async fn hears_itself(inner: &Inner) -> Answer<Duration> {
    let config = &inner.config;
    if config.get_ssl_mode() == SslMode::Disable {
        let (client, connection) = config.connect(NoTls).await?;
        listen(client, connection).await
    } else {
        // The certificate was judged when the pool connected.
        let (client, connection) = config.connect(tls::connector(false)?).await?;
        listen(client, connection).await
    }
}

async fn listen<S, T>(client: Client, mut connection: Connection<S, T>) -> Answer<Duration>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (heard, mut ear) = mpsc::channel(1);
    let listener = tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if matches!(message, AsyncMessage::Notification(_)) && heard.send(()).await.is_err() {
                break;
            }
        }
    });
    let began = Instant::now();
    client.batch_execute("LISTEN gristmill_ear; NOTIFY gristmill_ear").await?;
    let answer = ear.recv().await.map(|()| began.elapsed());
    listener.abort();
    answer.ok_or_else(|| unavailable("the connection that listens was lost").into())
}
