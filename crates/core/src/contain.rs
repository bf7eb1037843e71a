//! Code of others whose panic must cost nothing: log subscribers, destructors, what a panic carries.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How many destructors of one panic may panic before what is left is leaked.
const MOST_FUSES: usize = 8;

/// Runs code of others. A panic ends here: `None`, and what it carried is dropped as [`dispose`] does.
pub fn contain<T>(code: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(code)) {
        Ok(value) => Some(value),
        Err(panic) => {
            dispose(panic);
            None
        }
    }
}

/// Drops a value whose destructor may panic, and whose panic may carry another such value.
pub fn dispose<T>(value: T) {
    let Err(mut panic) = catch_unwind(AssertUnwindSafe(|| drop(value))) else { return };
    for _ in 0..MOST_FUSES {
        match catch_unwind(AssertUnwindSafe(|| drop(panic))) {
            Ok(()) => return,
            Err(next) => panic = next,
        }
    }
    leak(panic);
}

#[expect(clippy::mem_forget, reason = "its destructor panics whenever it runs")]
fn leak(panic: Box<dyn Any + Send>) {
    std::mem::forget(panic);
}

/// Writes a line to the log of the program, as the macro of `tracing` that is named first. The log is best
/// effort: a subscriber that panics, or a value that panics when it is formatted, costs the line and nothing
/// else.
///
/// The crate that uses it depends on `tracing`.
#[macro_export]
macro_rules! log {
    ($level:ident, $($line:tt)+) => {{
        let _ = $crate::contain(|| { ::tracing::$level!($($line)+); });
    }};
}

#[cfg(test)]
mod tests {
    use std::panic::panic_any;

    use super::*;

    /// A value whose destructor panics with another one, so many times.
    struct Chain(usize);

    impl Drop for Chain {
        fn drop(&mut self) {
            match self.0.checked_sub(1) {
                Some(left) => panic_any(Chain(left)),
                None => panic!("the last one"),
            }
        }
    }

    #[test]
    fn panics_that_carry_panics_end_here() {
        for length in [0, 1, 5, 100] {
            assert_eq!(contain(|| -> u8 { panic_any(Chain(length)) }), None);
            dispose(Chain(length));
        }
        assert_eq!(contain(|| 7), Some(7));
    }
}
