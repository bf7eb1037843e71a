//! A runtime whose threads are all blocked by code of jobs: leases are renewed all the same.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use gristmill_core::{Backend as _, Call, RegisterWorker, RenewRequest, WorkerId};
use gristmill_postgres::Postgres;
use gristmill_testkit::block_on;
use gristmill_testserver::{FaultProxy, Postgres as Server};

use super::site::Site;

const LEASE: Duration = Duration::from_secs(1);

#[test]
fn a_blocked_runtime_keeps_no_renewal_from_the_server() {
    let site = Site::shared();
    renews_while_blocked(&site, LEASE, None);
}

/// With few connections renewals share theirs with the notifications that are sent.
#[test]
fn a_notification_under_way_when_the_runtime_is_blocked_keeps_no_renewal_from_the_server() {
    let site = Site::shared();
    let proxy = FaultProxy::start(Server::shared().address());
    renews_while_blocked(&site, 30 * LEASE, Some(&proxy));
}

/// Renews the leases of a worker whose program's runtime is blocked, while a notification is on its way
/// through the proxy.
fn renews_while_blocked(site: &Site, lease: Duration, proxy: Option<&FaultProxy>) {
    let url = proxy.map_or_else(|| site.url.clone(), |proxy| proxy.url_through(&site.url));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let backend = {
        let _runtime = runtime.enter();
        let builder = Postgres::builder(&url).expect("the URL parses").schema(&site.schema);
        builder.connections(3).open().expect("the settings hold")
    };
    let worker = WorkerId::random();
    let call = || Call::new().within(LEASE / 4);
    let registered = backend.register_worker(Call::new(), RegisterWorker::new(worker, "blocked", lease));
    block_on(registered).expect("it registers");
    if let Some(proxy) = proxy {
        site.put(&backend, 1);
        // A round trip takes longer than an enqueue waits for its notification.
        proxy.delay(Duration::from_millis(300));
        site.put(&backend, 1);
    }
    let (release, blocked) = mpsc::channel::<()>();
    let blocked = std::sync::Arc::new(std::sync::Mutex::new(blocked));
    let (entered, has_entered) = mpsc::channel();
    for _ in 0..2 {
        let (blocked, entered) = (blocked.clone(), entered.clone());
        runtime.spawn(async move {
            entered.send(()).expect("the test waits");
            // The first one waits for its release, the second one for the first.
            let _ = blocked.lock().map(|blocked| blocked.recv());
        });
    }
    (0..2).for_each(|_| has_entered.recv().expect("they block"));
    if let Some(proxy) = proxy {
        proxy.pass();
    }
    let begun = Instant::now();
    while begun.elapsed() < LEASE + LEASE / 2 {
        let renewed = backend.renew(call(), RenewRequest::new(worker, Vec::new()));
        block_on(renewed).expect("a renewal needs no thread of the program's runtime");
    }
    drop(release);
    block_on(backend.retire_worker(Call::new(), worker)).expect("it retires");
}
