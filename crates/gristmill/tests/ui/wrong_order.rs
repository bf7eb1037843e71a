use gristmill::{Client, Job, JobContext, JobError, Memory, Worker};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Job)]
#[job(kind = "report.build")]
struct Report {
    day: String,
}

// The job comes first.
async fn report(_: JobContext, _: Report) -> Result<(), JobError> {
    Ok(())
}

fn main() {
    let _ = Worker::builder(Client::new(Memory::new())).handle(report);
}
