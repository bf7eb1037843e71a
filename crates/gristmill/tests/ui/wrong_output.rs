use gristmill::{Client, Job, JobError, Memory, Worker};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Job)]
#[job(kind = "report.build", output = String)]
struct Report {
    day: String,
}

// The job promises a `String`.
async fn report(_: Report) -> Result<u32, JobError> {
    Ok(1)
}

fn main() {
    let _ = Worker::builder(Client::new(Memory::new())).handle(report);
}
