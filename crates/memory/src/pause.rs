//! Pause and resume of queues.

use gristmill_core::{Hint, Name, PauseRequest, QueueRecord, Timestamp};

use crate::store::Store;

impl Store {
    pub(crate) fn pause(&mut self, request: PauseRequest, now: Timestamp) {
        self.hints.push(Hint::QueueChanged(request.queue.clone()));
        let index = self.queue_index(&request.queue);
        let record = &mut self.queues[index].record;
        record.paused_at.get_or_insert(now);
        record.pause_reason = request.reason;
        record.paused_by = request.actor;
    }

    pub(crate) fn resume(&mut self, name: &Name) {
        let Some(&index) = self.queues_by_name.get(name) else { return };
        self.queues[index].record = QueueRecord::new(name.clone());
        self.hints.extend([Hint::QueueChanged(name.clone()), Hint::Available(name.clone())]);
    }
}
