//! Random histories against the reference model.

use std::process::ExitCode;
use std::sync::Arc;

use gristmill_core::Backend;
use gristmill_memory::Memory;
use gristmill_testkit::{Store, model_histories};

const HISTORIES: u32 = 2_000;
const MAX_STEPS: usize = 60;

fn main() -> ExitCode {
    model_histories(
        "memory",
        HISTORIES,
        MAX_STEPS,
        || Store::new(Arc::new(Memory::new()) as Arc<dyn Backend>),
    )
}
