//! Lists: pages of jobs that match, by id, with bounded work.

mod place;
mod walk;

use gristmill_core::{Call, Cursor, JobFilter, JobRecord, ListRequest, Order, Page};
use uuid::Uuid;

use crate::error::Answer;
use crate::handle::Inner;
use crate::inspect::records;
use crate::row;
use crate::session::Session;
use walk::Walk;

/// Jobs one call looks at, at most: a page may be short, never slow.
const SCAN_LIMIT: usize = 10_000;

pub(crate) async fn list(inner: &Inner, _call: Call, request: &ListRequest) -> Answer<Page<JobRecord>> {
    let limit = request.limit.min(ListRequest::MAX_LIMIT);
    let mut session = inner.reads().await?;
    session.begin_snapshot().await?;
    let page = scan(inner, &mut session, &request.filter, request.cursor, request.order, limit).await?;
    let items = records(inner, &mut session, &page.items).await?;
    session.commit().await?;
    Ok(Page { items: items.into_iter().flatten().collect(), next: page.next })
}

/// The ids of a page of jobs that match. Outside of a transaction of one snapshot a job may have moved since.
pub(crate) async fn scan(
    inner: &Inner,
    session: &mut Session,
    filter: &JobFilter,
    cursor: Option<Cursor>,
    order: Order,
    limit: usize,
) -> Answer<Page<Uuid>> {
    let mut page = Page { items: Vec::new(), next: None };
    if limit == 0 {
        return Ok(page);
    }
    let Some(mut walk) = Walk::new(inner, session, filter, cursor, order).await? else { return Ok(page) };
    let mut looked_at = 0;
    loop {
        // One more than wanted tells whether more follow. Where few match, the steps grow.
        let wanted = looked_at.max(limit - page.items.len() + 1);
        let chunk = walk.next(session, wanted).await?;
        looked_at += chunk.looked_at;
        let room = limit - page.items.len();
        page.items.extend(chunk.matches.iter().take(room));
        if chunk.matches.len() > room {
            page.next = page.items.last().copied().map(cursor_behind);
            return Ok(page);
        }
        let Some(end) = chunk.end else { return Ok(page) };
        if page.items.len() == limit || looked_at >= SCAN_LIMIT {
            page.next = Some(cursor_behind(end));
            return Ok(page);
        }
    }
}

fn cursor_behind(id: Uuid) -> Cursor {
    Cursor(row::job_id(id))
}

/// How many jobs match, looking no further than beyond `cap`. A count may take long, so it holds no snapshot, which would
/// keep the server from cleaning up: each chunk is of its own moment.
pub(crate) async fn count_matches(
    inner: &Inner,
    session: &mut Session,
    filter: &JobFilter,
    cap: u64,
) -> Answer<u64> {
    let walk = Walk::new(inner, session, filter, None, Order::OldestFirst).await?;
    let Some(mut walk) = walk else { return Ok(0) };
    let mut matches = 0;
    loop {
        let chunk = walk.next(session, Walk::CHUNK).await?;
        matches += chunk.matches.len() as u64;
        if chunk.end.is_none() || matches > cap {
            return Ok(matches);
        }
    }
}
