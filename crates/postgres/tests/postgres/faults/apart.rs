//! A runtime whose threads are all blocked by code of jobs: leases are renewed all the same.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use gristmill_core::{Backend as _, Call, RegisterWorker, RenewRequest, WorkerId};
use gristmill_postgres::Postgres;
use gristmill_testkit::block_on;

use super::site::Site;

const LEASE: Duration = Duration::from_secs(1);

#[test]
fn a_blocked_runtime_keeps_no_renewal_from_the_server() {
    let site = Site::shared();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let backend = {
        let _runtime = runtime.enter();
        let builder = Postgres::builder(&site.url).expect("the URL parses").schema(&site.schema);
        builder.connections(3).open().expect("the settings hold")
    };
    let worker = WorkerId::random();
    let call = || Call::new().within(LEASE / 4);
    let registered = backend.register_worker(Call::new(), RegisterWorker::new(worker, "blocked", LEASE));
    block_on(registered).expect("it registers");
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
    let begun = Instant::now();
    while begun.elapsed() < LEASE + LEASE / 2 {
        let renewed = backend.renew(call(), RenewRequest::new(worker, Vec::new()));
        block_on(renewed).expect("a renewal needs no thread of the program's runtime");
    }
    drop(release);
    block_on(backend.retire_worker(Call::new(), worker)).expect("it retires");
}
