use gristmill::{Client, JobContext, JobError, Memory, Worker};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Plain;

// A type without `#[derive(Job)]`.
async fn report(_: Plain, _: JobContext) -> Result<(), JobError> {
    Ok(())
}

fn main() {
    let _ = Worker::builder(Client::new(Memory::new())).handle(report);
}
