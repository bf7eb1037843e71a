//! Servers with TLS.

use std::sync::Arc;

use gristmill_core::{Backend, Call, FinishItem, JobFilter, Listener};
use gristmill_testkit::block_on;
use gristmill_testserver::Postgres as Server;

use super::network::{Heard, until_heard};
use super::site::{Site, until};
use crate::fixture::{count, fetch, register};

#[test]
fn every_connection_is_encrypted_where_that_is_asked_for_the_listeners_too() {
    let server = Server::builder().encrypted().start();
    let site = Site::at(server.url());
    let (backend, other) = (site.open_at(&format!("{}?sslmode=require", site.url)), site.open());
    let (raw, heard) = (site.raw(), Arc::new(Heard::default()));
    fetch(&backend, register(&backend), 1, 1);
    drop(other);
    let plain = site.open_at(&format!("{}?sslmode=disable&application_name=plain", site.url));
    let _subscription = backend.subscribe(Arc::clone(&heard) as Arc<dyn Listener>);
    until_heard(&site, &plain, &heard);
    // One connection of each pool, the one of a handler included.
    let job = fetch(&backend, register(&backend), 2, 1).remove(0);
    count(&backend, JobFilter::new());
    let tx = block_on(backend.begin(Call::new(), job.lease.clone())).expect("it begins");
    let sessions = |which: &str| {
        raw.value(&format!(
            "SELECT coalesce(bool_and(ssl)::text, 'none') FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                WHERE application_name = 'gristmill' AND {which}"
        ))
    };
    for which in ["true", "query LIKE '%pg_notify%'", "state = 'idle in transaction'"] {
        until("the session is there", || sessions(which) != "none");
        assert_eq!(sessions(which), "true", "{which}");
    }
    block_on(tx.finish(Call::new(), FinishItem::complete(job.lease))).expect("it ends");
    let unencrypted = "SELECT bool_or(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
        WHERE application_name = 'plain'";
    assert_eq!(raw.value(unencrypted), "f");
}
