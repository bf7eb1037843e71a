//! What happened to jobs outside their leases, a bounded number a job.

use std::borrow::Cow;
use std::collections::BTreeSet;

use gristmill_core::{JobEvent, Timestamp};
use uuid::Uuid;

use crate::error::Answer;
use crate::row;
use crate::session::Session;
use crate::statement::sql;

/// Something that happened to a job: its id, what, who did it, and more of it in words.
pub(crate) type Event<'e> = (Uuid, &'e str, Option<&'e str>, Option<&'e str>);

/// Appends events, in this order; of each job the oldest go. A job that is gone leaves none.
pub(crate) async fn add_events(session: &mut Session, now: Timestamp, events: &[Event<'_>]) -> Answer<()> {
    if events.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = events.iter().map(|event| event.0).collect();
    let whats: Vec<Cow<'_, str>> = events.iter().map(|event| row::storable(event.1)).collect();
    let actors: Vec<Option<Cow<'_, str>>> = events.iter().map(|event| event.2.map(row::storable)).collect();
    let details: Vec<Option<Cow<'_, str>>> = events.iter().map(|event| event.3.map(row::storable)).collect();
    session.execute(sql!("add_events"), &[&now.as_millis(), &ids, &whats, &actors, &details]).await?;
    let jobs: Vec<Uuid> = ids.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    session.execute(sql!("trim_events"), &[&jobs, &row::size(JobEvent::KEPT)]).await
}
