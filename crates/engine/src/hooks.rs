//! Callbacks on events: facts, reported after they are stored.

use std::fmt;
use std::sync::Arc;

use gristmill_core::{Event, EventKind, contain};

type Callback = dyn Fn(&Event) + Send + Sync;

/// The hooks of a client or a worker. Cloning is cheap; without hooks nothing is done.
#[derive(Clone, Default)]
pub(crate) struct Hooks(Vec<Hook>);

#[derive(Clone)]
struct Hook {
    /// Only this kind; `None` is all.
    kind: Option<EventKind>,
    callback: Arc<Callback>,
}

impl Hooks {
    pub(crate) fn add(&mut self, kind: Option<EventKind>, callback: impl Fn(&Event) + Send + Sync + 'static) {
        self.0.push(Hook { kind, callback: Arc::new(callback) });
    }

    /// Whether there is none: then no event need be made.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Calls every hook of this kind of event. A hook that panics is logged; it must not end the loop that
    /// called it.
    pub(crate) fn emit(&self, event: &Event) {
        for hook in &self.0 {
            if hook.kind.is_none_or(|kind| kind == event.kind) && contain(|| (hook.callback)(event)).is_none()
            {
                gristmill_core::log!(error, job = %event.job, event = %event.kind, "a hook panicked");
            }
        }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hooks({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use gristmill_core::{IdSource, Timestamp};

    use super::*;

    #[test]
    fn a_hook_gets_its_kind_only_and_a_panic_spares_the_others() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut hooks = Hooks::default();
        hooks.add(None, |_| panic!("a broken hook"));
        let (all, some) = (seen.clone(), seen.clone());
        hooks.add(None, move |event| all.lock().unwrap().push(("all", event.kind)));
        hooks.add(Some(EventKind::Completed), move |event| some.lock().unwrap().push(("some", event.kind)));
        let job = IdSource::new().next(Timestamp::EPOCH);
        for kind in [EventKind::Started, EventKind::Completed] {
            hooks.emit(&Event::new(kind, job));
        }
        let expected =
            [("all", EventKind::Started), ("all", EventKind::Completed), ("some", EventKind::Completed)];
        assert_eq!(*seen.lock().unwrap(), expected);
    }
}
