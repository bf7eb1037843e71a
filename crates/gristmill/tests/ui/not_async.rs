use gristmill::{Client, Job, JobError, Memory, Worker};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Job)]
#[job(kind = "report.build")]
struct Report {
    day: String,
}

// The `async` is missing.
fn report(_: Report) -> Result<(), JobError> {
    Ok(())
}

fn main() {
    let _ = Worker::builder(Client::new(Memory::new())).handle(report);
}
