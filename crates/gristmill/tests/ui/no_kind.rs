use gristmill::{Job};
use serde::{Deserialize, Serialize};

// The kind is never guessed from the type's name.
#[derive(Serialize, Deserialize, Job)]
struct Report {
    day: String,
}

fn main() {}
