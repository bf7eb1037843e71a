//! The memory backend under the conformance suite.

use std::process::ExitCode;
use std::sync::Arc;

use gristmill_core::Backend;
use gristmill_memory::Memory;
use gristmill_testkit::conformance;

fn main() -> ExitCode {
    conformance("memory", Memory::new().capabilities(), || Arc::new(Memory::new()) as Arc<dyn Backend>)
}
