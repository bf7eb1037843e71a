use std::net::TcpListener;

use super::*;

/// A server that takes connections and never answers.
fn mute() -> (TcpListener, Postgres) {
    let server = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = server.local_addr().expect("it has one").port();
    let builder = Postgres::builder(&format!("postgres://app@127.0.0.1:{port}/app")).expect("the URL parses");
    (server, builder.open().expect("the settings hold"))
}

#[tokio::test]
async fn a_check_apart_that_cannot_be_made_refuses_only_after_a_refusal() {
    let (_server, store) = mute();
    let inner = &store.inner;
    inner.check_apart().await.expect("it was never checked");

    inner.checked.passed_long_ago();
    inner.check_apart().await.expect("the schema served this program");
    assert!(inner.checked.due().is_some(), "a call on a connection of the backend's checks");

    inner.checked.refused();
    inner.check_apart().await.expect_err("the schema did not serve this program");
}
