//! Where a handler panicked: known to the panic hook only, so only to those who ask for it.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::panic::PanicHookInfo;
use std::sync::Once;

use gristmill_core::RunError;

use crate::panics::panic_message;

thread_local! {
    /// The latest panic of this thread.
    static LATEST: RefCell<Option<Panicked>> = const { RefCell::new(None) };
}

struct Panicked {
    message: String,
    at: String,
    backtrace: Backtrace,
}

/// Keeps the place and the backtrace of every handler's panic with its run, for `gristmill jobs show`.
///
/// Rust passes them only to the process's panic hook. This adds to the hook that is there, which is called as
/// before; a hook that the program sets later replaces it. Call it once, early in `main`; further calls do
/// nothing. Each panic of the process, a handler's or not, then costs the walk through its stack.
///
/// ```
/// gristmill_engine::capture_backtraces();
/// ```
pub fn capture_backtraces() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            keep(panic);
            before(panic);
        }));
    });
}

fn keep(panic: &PanicHookInfo<'_>) {
    let panicked = Panicked {
        message: panic_message(panic.payload()).to_owned(),
        at: panic.location().map(ToString::to_string).unwrap_or_default(),
        backtrace: Backtrace::force_capture(),
    };
    // Fails only while the thread ends, or when the panic comes out of this very cell.
    let _ = LATEST.try_with(|latest| latest.try_borrow_mut().map(|mut latest| *latest = Some(panicked)));
}

/// Adds the backtrace of a panic that this thread has just caught, where it was kept.
pub(crate) fn with_backtrace(error: RunError, panic: &(dyn Any + Send)) -> RunError {
    let latest = LATEST.with(|latest| latest.borrow_mut().take());
    // A panic that was carried over from another thread has passed no hook here: then the latest one is
    // another.
    match latest.filter(|latest| latest.message == panic_message(panic)) {
        Some(Panicked { at, backtrace, .. }) => error.with_backtrace(format!("at {at}\n{backtrace}")),
        None => error,
    }
}
