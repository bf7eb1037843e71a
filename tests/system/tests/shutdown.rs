//! SIGTERM: what finished is recorded, the rest is given back at once.

use std::time::{Duration, Instant};

use gristmill_core::{Ending, JobState};
use gristmill_system_tests::{Product, audit, wait_until};
use gristmill_testserver::Postgres;

const QUICK: &str = "#!/bin/sh\necho x >> started\nsleep 0.5\n";
const SLOW: &str = "#!/bin/sh\necho x >> started\nsleep 300\n";

#[test]
fn sigterm_records_what_finished_and_gives_the_rest_back() {
    sigterm_ends_a_worker_in_order(&Product::new());
}

#[test]
fn sigterm_records_what_finished_and_gives_the_rest_back_on_a_server() {
    sigterm_ends_a_worker_in_order(&Product::on_server(Postgres::shared().fresh_database()));
}

fn sigterm_ends_a_worker_in_order(product: &Product) {
    for (name, program) in [("quick.sh", QUICK), ("slow.sh", SLOW)] {
        std::fs::write(product.folder().join(name), program).expect("the program is written");
    }
    let lines = r#"{"kind":"quick"}"#.to_owned() + "\n" + r#"{"kind":"slow"}"# + "\n";
    product.run_with(["enqueue", "--file", "-"], lines.repeat(50).as_bytes());
    let mut worker = product.worker([
        "--exec",
        "quick=sh quick.sh",
        "--exec",
        "slow=sh slow.sh",
        "--queue",
        "default=100",
        "--grace",
        "1s",
    ]);
    let started = product.folder().join("started");
    wait_until("100 jobs to run", || std::fs::read(&started).is_ok_and(|bytes| bytes.len() == 200));

    let asked = Instant::now();
    worker.terminate();
    let status = worker.wait();

    let took = asked.elapsed();
    eprintln!(
        "shutdown test ({}): the worker ended {took:?} after SIGTERM with a grace of 1 s",
        product.store().name()
    );
    assert!(status.success(), "{status}\n{}", product.workers_log());
    assert!(took < Duration::from_secs(2), "the rest was back only after {took:?}");
    let account = audit(product.store());
    assert_eq!(account.ended(JobState::Completed).count(), 50);
    let given_back: Vec<_> = account.ended(JobState::Available).collect();
    assert_eq!(given_back.len(), 50);
    for (job, runs) in given_back {
        assert_eq!(job.attempt, 0, "the attempt is refunded");
        assert_eq!(runs.iter().map(|run| run.ending).collect::<Vec<_>>(), [Ending::Released]);
    }
}
