//! Fetches of one worker side by side.

use std::thread;

use gristmill_testserver::Postgres as Server;

use super::site::Site;
use crate::fixture::{fetch, register};

/// Of the locks of a row that several transactions have at once the server keeps a list, and the numbers of
/// the lists wear out.
#[test]
fn fetches_of_one_worker_side_by_side_share_no_lock_of_a_row() {
    // A commit takes its time, so that the next fetches begin before it.
    let server =
        Server::builder().durable().setting("commit_delay", "10000").setting("commit_siblings", "0").start();
    let site = Site::at(server.url());
    let (backend, raw) = (site.open(), site.raw());
    let worker = register(&backend);
    site.put(&backend, 600);
    let made = || -> u64 {
        let next = raw.value("CHECKPOINT; SELECT next_multixact_id FROM pg_control_checkpoint()");
        next.parse().expect("it is a number")
    };
    let before = made();
    thread::scope(|scope| {
        for line in 0..3 {
            let backend = &backend;
            scope.spawn(move || {
                for claim in 0..200 {
                    assert_eq!(fetch(backend, worker, 1_000 * line + claim, 1).len(), 1);
                }
            });
        }
    });
    assert_eq!(made() - before, 0);
}
