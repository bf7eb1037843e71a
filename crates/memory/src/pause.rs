//! Pause and resume of queues.

use gristmill_core::{Hint, Name, PauseRequest, Timestamp};

use crate::store::Store;

impl Store {
    pub(crate) fn pause(&mut self, request: PauseRequest, now: Timestamp) {
        self.hints.push(Hint::QueueChanged(request.queue.clone()));
        let record = &mut self.queue(&request.queue).record;
        record.paused_at.get_or_insert(now);
        record.pause_reason = request.reason;
        record.paused_by = request.actor;
    }

    pub(crate) fn resume(&mut self, name: &Name) {
        let Some(queue) = self.queues.get_mut(name) else { return };
        queue.record.paused_at = None;
        queue.record.pause_reason = None;
        queue.record.paused_by = None;
        self.hints.push(Hint::QueueChanged(name.clone()));
        self.hint_available(name);
    }
}
