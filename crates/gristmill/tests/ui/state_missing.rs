use gristmill::{Client, Job, JobError, Memory, State, Worker};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Job)]
#[job(kind = "report.build")]
struct Report {
    day: String,
}

struct App;

#[derive(Clone)]
struct Database;

// The worker's state has no database.
async fn report(_: Report, State(_): State<Database>) -> Result<(), JobError> {
    Ok(())
}

fn main() {
    let _ = Worker::builder(Client::new(Memory::new())).state(App).handle(report);
}
