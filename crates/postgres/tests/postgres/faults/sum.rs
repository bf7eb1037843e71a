//! The connections of a process as a whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use gristmill_core::{Backend, Call, EnqueueRequest, JobFilter, Listener, RenewRequest};
use gristmill_postgres::Postgres;
use gristmill_testkit::block_on;
use gristmill_testserver::Postgres as Server;

use super::network::Heard;
use super::site::Site;
use crate::fixture::{complete, fetch, register, runtime};

#[test]
fn no_load_opens_more_connections_than_are_set() {
    for most in [3, 6, 16] {
        let site = Site::at(&Server::shared().fresh_database());
        let watcher = site.raw();
        let backend = {
            let _runtime = runtime().enter();
            let builder = Postgres::builder(&site.url).expect("the URL parses").schema(&site.schema);
            builder.connections(most).open().expect("the settings hold")
        };
        let heard: Arc<dyn Listener> = Arc::new(Heard::default());
        let _subscription = backend.subscribe(heard);
        let is_over = AtomicBool::new(false);
        let peak = thread::scope(|scope| {
            let watching = scope.spawn(|| {
                let mut peak = 0;
                while !is_over.load(Ordering::Acquire) {
                    let open = watcher.value(
                        "SELECT count(*) FROM pg_stat_activity
                            WHERE datname = current_database() AND application_name = 'gristmill'",
                    );
                    peak = peak.max(open.parse::<usize>().expect("it is a number"));
                }
                peak
            });
            let working: Vec<_> = (0..12)
                .map(|_| {
                    scope.spawn(|| {
                        let worker = register(&backend);
                        for claim in 1..=8 {
                            let request = EnqueueRequest::new(site.jobs(2));
                            block_on(backend.enqueue(Call::new(), request)).expect("they are stored");
                            let jobs = fetch(&backend, worker, claim, 2);
                            if let Some(job) = jobs.first() {
                                // Where handlers have none it is refused.
                                if let Ok(tx) = block_on(backend.begin(Call::new(), job.lease.clone())) {
                                    block_on(tx.roll_back(Call::new())).expect("it is rolled back");
                                }
                            }
                            block_on(backend.count(Call::new(), JobFilter::new(), None)).expect("a count");
                            let renewal =
                                RenewRequest::new(worker, (1..=claim).map(gristmill_core::ClaimId).collect());
                            block_on(backend.renew(Call::new(), renewal)).expect("the worker lives");
                            complete(&backend, jobs);
                        }
                    })
                })
                .collect();
            for working in working {
                working.join().expect("it ends");
            }
            is_over.store(true, Ordering::Release);
            watching.join().expect("it ends")
        });
        assert!(peak <= most, "{peak} connections of {most}");
        assert!(peak * 2 >= most, "the load opened {peak} connections only of {most}");
    }
}
