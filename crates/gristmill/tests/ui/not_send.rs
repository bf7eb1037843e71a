use gristmill::{Client, Job, JobError, Memory, Worker};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Job)]
#[job(kind = "report.build")]
struct Report {
    day: String,
}

// An `Rc` is held over an await.
async fn report(job: Report) -> Result<(), JobError> {
    let day = std::rc::Rc::new(job.day);
    std::future::ready(()).await;
    drop(day);
    Ok(())
}

fn main() {
    let _ = Worker::builder(Client::new(Memory::new())).handle(report);
}
