//! Pause and resume of queues.

use gristmill_core::{Hint, Name, PauseRequest, Timestamp};
use rusqlite::params;

use crate::error::Answer;
use crate::group::Group;

pub(crate) fn pause(group: &mut Group<'_>, request: &PauseRequest, now: Timestamp) -> Answer<()> {
    let queue = group.queue(&request.queue)?;
    group.prepare(include_str!("../sql/pause.sql"))?.execute(params![
        queue,
        now.as_millis(),
        request.reason,
        request.actor
    ])?;
    group.sums.hints.push(Hint::QueueChanged(request.queue.clone()));
    Ok(())
}

pub(crate) fn resume(group: &mut Group<'_>, name: &Name, _: Timestamp) -> Answer<()> {
    let Some(queue) = group.memory.queues.find(group.connection, name)? else { return Ok(()) };
    group.prepare(include_str!("../sql/resume.sql"))?.execute([queue])?;
    group.sums.hints.push(Hint::QueueChanged(name.clone()));
    group.hint_available(queue)
}
