//! The previous release and this program on one store, as during an upgrade and after it was taken back.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gristmill_core::JobState;
use gristmill_system_tests::{Product, Worker, audit, wait_until};
use gristmill_testserver::Postgres;

/// A process of one of the two programs is killed so often.
const KILL_EVERY: Duration = Duration::from_secs(1);
/// Of so many jobs that a producer enqueues, one is cancelled.
const CANCEL_EACH: usize = 25;

#[test]
#[ignore = "needs the program of the previous release: cargo xtask rolling"]
fn each_job_ends_once_beside_the_previous_release_in_a_file() {
    upgrade(&Product::new());
}

#[test]
#[ignore = "needs the program of the previous release: cargo xtask rolling"]
fn each_job_ends_once_beside_the_previous_release_on_a_server() {
    upgrade(&Product::on_server(Postgres::shared().fresh_database()));
}

/// The program of the previous release.
fn previous() -> PathBuf {
    std::env::var_os("GRISTMILL_PREVIOUS_BIN").map(PathBuf::from).expect("run it by `cargo xtask rolling`")
}

fn side_by_side() -> Duration {
    let seconds = std::env::var("GRISTMILL_ROLLING_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(60))
}

/// The store is made by the previous release; this program migrates it while the previous one works. If both
/// may use the schema, they do so side by side, and then the previous one alone; else the previous one is
/// refused by name.
fn upgrade(product: &Product) {
    let (old, new) = (previous(), Product::program());
    product.run_of(&old, ["migrate"]);
    let mut fleet = Fleet::new(product);
    fleet.start(&old);
    fleet.enqueue(&old);
    product.run_of(new, ["migrate"]);

    let is_compatible = product.try_of(&old, ["stats"]).is_ok();
    if is_compatible {
        fleet.work([&old, new], side_by_side());
        fleet.stop();
        fleet.work([&old, &old], side_by_side() / 6);
        fleet.stop();
        fleet.start(&old);
    } else {
        let refusal = product.try_of(&old, ["enqueue", "work"]).expect_err("the program is too old");
        let versions = refusal.matches("version ").count();
        assert!(
            versions >= 2 && refusal.contains("hint:"),
            "it names both versions and the remedy: {refusal}"
        );
        fleet.stop();
        fleet.work([new, new], side_by_side() / 6);
        fleet.start(new);
    }
    fleet.wait_for_all();

    let account = audit(product.store());
    let ended = account.ended(JobState::Completed).count() + account.ended(JobState::Cancelled).count();
    assert_eq!((account.jobs.len(), ended), (fleet.enqueued, fleet.enqueued), "each job ended, and once");
    eprintln!(
        "rolling test ({}): compatible: {is_compatible}, {} jobs, {} cancelled, {} processes, {} killed",
        product.store().name(),
        fleet.enqueued,
        account.ended(JobState::Cancelled).count(),
        fleet.processes,
        fleet.kills
    );
}

/// The workers of both programs, and what they were given.
struct Fleet<'p> {
    product: &'p Product,
    workers: Vec<Worker>,
    enqueued: usize,
    processes: usize,
    kills: usize,
}

impl<'p> Fleet<'p> {
    fn new(product: &'p Product) -> Self {
        Self { product, workers: Vec::new(), enqueued: 0, processes: 0, kills: 0 }
    }

    fn start(&mut self, program: &Path) {
        let words = ["--exec", "work=sleep 0.05", "--queue", "default=4", "--lease", "2s"];
        self.workers.push(self.product.worker_of(program, words));
        self.processes += 1;
    }

    /// Stores a hundred jobs and cancels some of them, whether they run or not.
    fn enqueue(&mut self, program: &Path) {
        let lines = "{\"kind\":\"work\"}\n".repeat(100);
        let ids = self.product.run_of_with(program, ["enqueue", "--file", "-"], lines.as_bytes());
        for (place, id) in ids.lines().filter(|line| !line.is_empty()).enumerate() {
            self.enqueued += 1;
            if place % CANCEL_EACH == 0 {
                // One that has ended is no job to cancel, which the code says.
                let _ = self.product.try_of(program, ["jobs", "cancel", id]);
            }
        }
    }

    /// Both programs enqueue, run and cancel; of one after the other a worker is killed and another one
    /// started.
    fn work(&mut self, programs: [&Path; 2], time: Duration) {
        let began = Instant::now();
        let mut turn = 0;
        while self.workers.len() < 4 {
            self.start(programs[self.workers.len() % 2]);
        }
        while began.elapsed() < time {
            let program = programs[turn % 2];
            turn += 1;
            let killed = Instant::now();
            self.workers.remove(0).kill();
            self.kills += 1;
            self.start(program);
            self.enqueue(program);
            wait_until("the next kill", || killed.elapsed() >= KILL_EVERY);
        }
    }

    /// Ends all workers in order.
    fn stop(&mut self) {
        for worker in &mut self.workers {
            if !worker.has_ended() {
                worker.terminate();
            }
            worker.wait();
        }
        self.workers.clear();
    }

    fn wait_for_all(&self) {
        wait_until("all jobs to end", || {
            self.product.counts(["completed", "cancelled"]).iter().sum::<u64>() == self.enqueued as u64
        });
    }
}
