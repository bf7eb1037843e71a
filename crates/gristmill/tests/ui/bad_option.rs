use gristmill::{Job};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Job)]
#[job(kind = "report.build", timeout = "30 seconds", priorty = -5)]
struct Report {
    day: String,
}

fn main() {}
