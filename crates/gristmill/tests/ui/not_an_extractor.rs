use gristmill::{Client, Job, JobError, Memory, Worker};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Job)]
#[job(kind = "report.build")]
struct Report {
    day: String,
}

// `u32` is nothing that a worker could hand in.
async fn report(_: Report, _: u32) -> Result<(), JobError> {
    Ok(())
}

fn main() {
    let _ = Worker::builder(Client::new(Memory::new())).handle(report);
}
