//! Panics as values, with their place, and without noise on the terminal.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    /// What the panic of this thread said, while one is being caught: nothing yet, or its words.
    static SAID: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs something that may panic.
///
/// # Errors
/// Where the panic was, and what it said.
pub(crate) fn caught(run: impl FnOnce()) -> Result<(), String> {
    listen();
    SAID.set(Some(String::new()));
    let result = catch_unwind(AssertUnwindSafe(run));
    let said = SAID.take();
    result.map_err(|_| said.unwrap_or_default())
}

/// Once per process: panics that are being caught are kept instead of printed.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let kept = SAID.with_borrow_mut(|said| {
                let Some(slot) = said else { return false };
                *slot = panic.to_string();
                true
            });
            if !kept {
                print(panic);
            }
        }));
    });
}
