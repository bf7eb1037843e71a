//! Another server takes over while nothing closes the connections to the old one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gristmill_core::{Backend, Call, EnqueueRequest, JobFilter, Listener};
use gristmill_testkit::block_on;
use gristmill_testserver::{FaultProxy, Postgres as Server};

use super::network::{Heard, until_heard};
use super::site::{Site, until};
use crate::fixture::{count, fetch, register};

fn takes_over(make_old_unfit: impl FnOnce(&Server)) {
    let (old, new) = (Server::start(), Server::start());
    let proxy = FaultProxy::before(&old);
    let site = Site::empty(old.url(), "moved");
    site.migrate();
    let successor = Site::empty(new.url(), "moved");
    successor.migrate();
    let there = successor.open();
    successor.put(&there, 1);
    let backend = site.open_at(&proxy.url_for(&old));
    let heard = Arc::new(Heard::default());
    fetch(&backend, register(&backend), 1, 1);
    let _subscription = backend.subscribe(Arc::clone(&heard) as Arc<dyn Listener>);
    until_heard(&site, &site.open(), &heard);

    proxy.lead_to(new.address());
    make_old_unfit(&old);
    until("the calls reach the new server", || {
        // Those that meet the old one fail.
        drop(block_on(backend.enqueue(Call::new(), EnqueueRequest::new(site.jobs(1)))));
        count(&there, JobFilter::new()) > 1
    });
    let begun = Instant::now();
    until_heard(&successor, &successor.open(), &heard);
    assert!(begun.elapsed() < Duration::from_secs(10), "it took {:?}", begun.elapsed());
    block_on(backend.ping(Call::new())).expect("the new server answers");
}

#[test]
fn a_listener_leaves_a_server_that_takes_no_writes_any_more() {
    takes_over(|old| {
        old.psql("ALTER SYSTEM SET default_transaction_read_only = on; SELECT pg_reload_conf()");
    });
}

#[test]
fn a_listener_leaves_a_server_when_new_connections_reach_another_one() {
    // The old one ends our connections, but for the one that listens.
    takes_over(|old| {
        old.psql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE application_name = 'gristmill' AND query NOT LIKE '%LISTEN%' AND query NOT LIKE '%pg_notify%'",
        );
    });
}
