//! What a worker's builder refuses: everything at once, with the remedy.

use std::time::Duration;

use gristmill_core::{Job, JobOptions};
use gristmill_engine::{Client, Worker, WorkerBuilder};
use gristmill_memory::Memory;

#[derive(serde::Serialize, serde::Deserialize, gristmill_macros::Job)]
#[job(kind = "report", crate = "gristmill_core")]
struct Report {}

#[derive(serde::Serialize, serde::Deserialize, gristmill_macros::Job)]
#[job(kind = "report", crate = "gristmill_core")]
struct OtherReport {}

/// Written by hand, and wrong: nothing checks it when the program is compiled.
#[derive(serde::Serialize, serde::Deserialize)]
struct ByHand {}

impl Job for ByHand {
    const KIND: &'static str = "by hand";
    type Output = ();

    fn options() -> JobOptions {
        JobOptions::new().max_attempts(0).queue("")
    }
}

fn builder() -> WorkerBuilder<()> {
    Worker::builder(Client::new(Memory::new()))
}

async fn report(_: Report) {}

fn faults<S: Send + Sync + 'static>(builder: WorkerBuilder<S>) -> String {
    builder.build().expect_err("it is not valid").to_string()
}

#[tokio::test]
async fn a_worker_without_queues_runs_the_default_one() {
    assert!(builder().handle(report).build().is_ok());
}

#[test]
fn a_worker_without_a_handler_is_refused() {
    assert!(faults(builder()).contains("no handler"), "{}", faults(builder()));
}

#[test]
fn every_fault_is_reported_at_once() {
    let second = Duration::from_secs(1);
    let said = faults(
        builder()
            .handle(report)
            .queue("mail", 0)
            .queue("two words", 1)
            .queue("twice", 1)
            .queue("twice", 2)
            .lane("urgent", 1, -11..=-5)
            .lane("urgent", 1, std::ops::RangeInclusive::new(5, -5))
            .slots(0)
            .lease(second / 2)
            .call_deadline(second)
            .poll_interval(Duration::ZERO)
            .fetch_batch(0)
            .timeout(Duration::ZERO),
    );
    let expected = [
        "queue `mail` has 0 slots",
        "`two words` is not a name",
        "queue `twice` is given twice",
        "priority -11 is out of range",
        "5 lies behind -5",
        "the worker has 0 slots",
        "lease is 500ms; the smallest is 1s",
        "call_deadline (1s) must be shorter than the lease (500ms)",
        "poll_interval is 0s",
        "fetch_batch is 0",
        "timeout is shorter than 1ms",
    ];
    for fault in expected {
        assert!(said.contains(fault), "{fault} is missing in: {said}");
    }
}

#[test]
fn a_duplicate_kind_names_both_types() {
    let said = faults(builder().handle(report).handle(async |_: OtherReport| {}));
    for part in ["kind `report` has two handlers", "builder::Report", "builder::OtherReport"] {
        assert!(said.contains(part), "{part} is missing in: {said}");
    }
}

#[test]
fn a_job_that_could_never_be_enqueued_is_found_here() {
    let said = faults(builder().handle(async |_: ByHand| {}));
    for part in ["builder::ByHand", "`by hand` is not a name", "max_attempts is 0", "queue: `` is not a name"]
    {
        assert_eq!(said.matches(part).count(), 1, "{part} once in: {said}");
    }
}

#[test]
fn a_raw_kind_is_a_name() {
    let said = faults(builder().handle_raw("no name", async |_: gristmill_core::Args| {}));
    assert!(said.contains("kind: `no name` is not a name"), "{said}");
}

#[test]
fn a_delay_belongs_to_a_handler_and_there_is_one_a_kind() {
    let second = |_: u16, _: &gristmill_core::RunError| Duration::from_secs(1);
    let handled = builder().handle(report).retry_with("reprot", second);
    let said = faults(handled.retry_with("report", second).retry_with("report", second));
    for part in ["no handler of kind `reprot`: did you mean `report`?", "kind `report` has two functions"] {
        assert!(said.contains(part), "{part} is missing in: {said}");
    }
}
