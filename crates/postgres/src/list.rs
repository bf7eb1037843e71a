//! Lists: pages of jobs that match, by id, with bounded work.

mod place;
mod walk;

use std::time::{Duration, Instant};

use gristmill_core::{Call, Count, Cursor, JobFilter, JobRecord, ListRequest, MAX_BATCH_BYTES, Order, Page};
use uuid::Uuid;

use crate::error::Answer;
use crate::handle::Inner;
use crate::inspect::records;
use crate::row;
use crate::session::Session;
use crate::statement::sql;
use walk::Walk;

/// Jobs one call looks at, at most, once it has found one: a page may be short, never slow. An empty one is
/// not worth its round trip, so the search for the first job goes on for as long as the caller's patience.
const SCAN_LIMIT: usize = 10_000;

pub(crate) async fn list(inner: &Inner, call: Call, request: &ListRequest) -> Answer<Page<JobRecord>> {
    let limit = request.limit.min(ListRequest::MAX_LIMIT);
    let mut session = inner.reads().await?;
    session.begin_snapshot().await?;
    let page =
        scan(inner, &mut session, &request.filter, request.cursor, request.order, limit, call.patience())
            .await?;
    let page = cut(&mut session, page).await?;
    let items = records(inner, &mut session, &page.items).await?;
    session.commit().await?;
    Page::fill(items.into_iter().flatten().map(Ok), page.next)
}

/// Ends a page with the job that makes it reach the bytes of a batch, before any of it is read.
async fn cut(session: &mut Session, mut page: Page<Uuid>) -> Answer<Page<Uuid>> {
    let mut bytes = 0;
    let shown_errors = row::size(JobRecord::MAX_ERRORS);
    let sizes = session.query(sql!("page_bytes"), &[&page.items, &shown_errors]).await?;
    for (place, size) in sizes.iter().enumerate() {
        bytes += row::get::<i64>(size, 0)?;
        if bytes >= row::size(MAX_BATCH_BYTES) && place + 1 < page.items.len() {
            page.next = Some(cursor_behind(page.items[place]));
            page.items.truncate(place + 1);
            break;
        }
    }
    Ok(page)
}

/// The ids of a page of jobs that match. Outside of a transaction of one snapshot a job may have moved since.
pub(crate) async fn scan(
    inner: &Inner,
    session: &mut Session,
    filter: &JobFilter,
    cursor: Option<Cursor>,
    order: Order,
    limit: usize,
    patience: Duration,
) -> Answer<Page<Uuid>> {
    let begun = Instant::now();
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
        let has_looked = looked_at >= SCAN_LIMIT && (!page.items.is_empty() || begun.elapsed() >= patience);
        if page.items.len() == limit || has_looked {
            page.next = Some(cursor_behind(end));
            return Ok(page);
        }
    }
}

fn cursor_behind(id: Uuid) -> Cursor {
    Cursor(row::job_id(id))
}

/// How many jobs match, looking no further than beyond `cap`, nor for longer than the caller's patience. A
/// count may take long, so it holds no snapshot, which would keep the server from cleaning up: each chunk is
/// of its own moment.
pub(crate) async fn count_matches(
    inner: &Inner,
    session: &mut Session,
    filter: &JobFilter,
    cap: Option<u64>,
    patience: Duration,
) -> Answer<Count> {
    let begun = Instant::now();
    let walk = Walk::new(inner, session, filter, None, Order::OldestFirst).await?;
    let Some(mut walk) = walk else { return Ok(Count::up_to(cap, 0)) };
    let mut matches = 0;
    loop {
        let chunk = walk.next(session, Walk::CHUNK).await?;
        matches += chunk.matches.len() as u64;
        if chunk.end.is_none() || cap.is_some_and(|cap| matches > cap) {
            return Ok(Count::up_to(cap, matches));
        } else if begun.elapsed() >= patience {
            return Ok(Count::at_least(matches));
        }
    }
}
