//! Goes through the jobs that may match a filter, by id, chunk by chunk.
//!
//! Where states are named, their places are walked instead of all jobs, several side by side. What never
//! leaves a job's row is looked at there; its state and worker where it is.

use gristmill_core::{Cursor, JobFilter, Name, Order, Timestamp};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::error::Answer;
use crate::handle::Inner;
use crate::list::place::{self, Place, Seen};
use crate::locate::{Detail, Located, locate};
use crate::row::{self, Options};
use crate::session::Session;
use crate::statement::Sql;

/// A walk, and how far it has come.
pub(super) struct Walk<'f> {
    filter: &'f JobFilter,
    /// The numbers of the queues that are asked for.
    queues: Option<Vec<i32>>,
    order: Order,
    among: Among,
    /// The last one looked at.
    behind: Uuid,
}

/// A part of a walk.
pub(super) struct Chunk {
    pub(super) looked_at: usize,
    /// The jobs that match, in the order of the walk.
    pub(super) matches: Vec<Uuid>,
    /// The last one looked at; `None` at the end of the walk.
    pub(super) end: Option<Uuid>,
}

/// Where jobs that may match are found.
enum Among {
    Jobs,
    /// In the order of the walk.
    Ids(Vec<Uuid>),
    Places(Vec<Place>),
}

impl<'f> Walk<'f> {
    /// Rows that are read of a place at once, at most.
    pub(super) const CHUNK: usize = 1_000;

    /// A walk behind a cursor; `None` where nothing can match.
    pub(super) async fn new(
        inner: &Inner,
        session: &mut Session,
        filter: &'f JobFilter,
        cursor: Option<Cursor>,
        order: Order,
    ) -> Answer<Option<Self>> {
        let mut queues = None;
        if !filter.queues.is_empty() {
            let known = inner.names.look_up(session, &filter.queues).await?;
            queues = Some(known.into_iter().flatten().collect::<Vec<_>>()).filter(|known| !known.is_empty());
            if queues.is_none() {
                return Ok(None);
            }
        }
        let edge = match order {
            Order::OldestFirst => Uuid::nil(),
            Order::NewestFirst => Uuid::max(),
        };
        let behind = cursor.map_or(edge, |Cursor(id)| row::uuid(id));
        Ok(Some(Self { filter, queues, order, among: Among::of(filter, order), behind }))
    }

    /// The next jobs. It looks at `wanted` of them, within bounds, and at as many of each place.
    pub(super) async fn next(&mut self, session: &mut Session, wanted: usize) -> Answer<Chunk> {
        // One more tells whether there are more.
        let limit = wanted.clamp(1, Self::CHUNK) + 1;
        let (looked_at, end, candidates) = match &self.among {
            Among::Jobs => {
                let sql = place::jobs(self.order);
                let rows = self.look_at_jobs(session, sql, &self.behind, Some(limit)).await?;
                let ids = rows.iter().map(|row| Ok(row.try_get(0)?)).collect::<Answer<_>>()?;
                let seen = Seen::of(ids, limit);
                let mut fitting = self.fitting(&rows)?;
                fitting.retain(|id| seen.end.is_none_or(|end| !self.is_before(end, *id)));
                (seen.ids.len(), seen.end, fitting)
            }
            Among::Ids(ids) => {
                let rest = ids.iter().copied().filter(|id| self.is_before(self.behind, *id));
                let seen = Seen::of(rest.take(limit).collect(), limit);
                (seen.ids.len(), seen.end, self.fitting_among(session, seen.ids).await?)
            }
            Among::Places(places) => {
                let (looked_at, seen) = self.look_at_places(session, places, limit).await?;
                (looked_at, seen.end, self.fitting_among(session, seen.ids).await?)
            }
        };
        self.behind = end.unwrap_or(self.behind);
        Ok(Chunk { looked_at, matches: self.in_their_states(session, candidates).await?, end })
    }

    /// Whether the walk comes to `one` sooner than to `other`.
    fn is_before(&self, one: Uuid, other: Uuid) -> bool {
        match self.order {
            Order::OldestFirst => one < other,
            Order::NewestFirst => one > other,
        }
    }

    /// The next of all places together: no further than where each of them is certain.
    async fn look_at_places(
        &self,
        session: &mut Session,
        places: &[Place],
        limit: usize,
    ) -> Answer<(usize, Seen)> {
        let (mut looked_at, mut all) = (0, Seen { ids: Vec::new(), end: None });
        for place in places {
            let rows = session.query(place.sql(self.order), &[&self.behind, &row::size(limit)]).await?;
            looked_at += rows.len();
            let ids = rows.iter().map(|row| Ok(row.try_get(0)?)).collect::<Answer<_>>()?;
            let seen = Seen::of(ids, limit);
            all.ids.extend(seen.ids);
            all.end = match (all.end, seen.end) {
                (Some(end), Some(other)) if self.is_before(end, other) => Some(end),
                (end, other) => other.or(end),
            };
        }
        if let Some(end) = all.end {
            all.ids.retain(|id| !self.is_before(end, *id));
        }
        all.ids.sort_unstable();
        all.ids.dedup();
        if self.order == Order::NewestFirst {
            all.ids.reverse();
        }
        Ok((looked_at, all))
    }

    /// Those jobs that fit as far as their rows tell.
    async fn fitting_among(&self, session: &mut Session, ids: Vec<Uuid>) -> Answer<Vec<Uuid>> {
        let filter = self.filter;
        let asks_nothing = self.queues.is_none()
            && filter.kinds.is_empty()
            && filter.tags.is_empty()
            && filter.created_from.is_none()
            && filter.created_before.is_none();
        if asks_nothing || ids.is_empty() {
            return Ok(ids);
        }
        let rows = self.look_at_jobs(session, place::JOBS_BY_ID, &ids, None).await?;
        let mut fitting = self.fitting(&rows)?;
        fitting.sort_unstable();
        if self.order == Order::NewestFirst {
            fitting.reverse();
        }
        Ok(fitting)
    }

    async fn look_at_jobs(
        &self,
        session: &mut Session,
        sql: Sql,
        which: &(dyn ToSql + Sync),
        limit: Option<usize>,
    ) -> Answer<Vec<Row>> {
        let filter = self.filter;
        let kinds: Vec<&str> = filter.kinds.iter().map(Name::as_str).collect();
        let kinds = (!kinds.is_empty()).then_some(kinds);
        let from = filter.created_from.map(Timestamp::as_millis);
        let before = filter.created_before.map(Timestamp::as_millis);
        let wants_options = !filter.tags.is_empty();
        let limit = limit.map(row::size);
        let mut params: Vec<&(dyn ToSql + Sync)> =
            vec![which, &self.queues, &kinds, &from, &before, &wants_options];
        if let Some(limit) = &limit {
            params.push(limit);
        }
        session.query(sql, &params).await
    }

    fn fitting(&self, rows: &[Row]) -> Answer<Vec<Uuid>> {
        let tags = &self.filter.tags;
        let mut fitting = Vec::new();
        for row in rows {
            let has_tag = |options: Options| tags.iter().any(|tag| options.tags.contains(tag));
            if row.try_get(1)? && (tags.is_empty() || has_tag(Options::parse(row.try_get(2)?))) {
                fitting.push(row.try_get(0)?);
            }
        }
        Ok(fitting)
    }

    /// Those jobs whose state and worker match; looked up only where a place does not tell.
    async fn in_their_states(&self, session: &mut Session, ids: Vec<Uuid>) -> Answer<Vec<Uuid>> {
        let filter = self.filter;
        let is_told = match &self.among {
            Among::Jobs => filter.states.is_empty(),
            // An id may be of no job.
            Among::Ids(_) => false,
            Among::Places(places) => places.iter().all(|place| place.tells(&filter.states)),
        };
        if is_told && filter.worker.is_none() || ids.is_empty() {
            return Ok(ids);
        }
        let matches = |job: &Located| {
            let latest = job.latest.map(|latest| latest.worker);
            let worker = job.held.map(|held| held.worker).or(latest);
            (filter.states.is_empty() || filter.states.contains(&job.state))
                && (filter.worker.is_none() || filter.worker == worker)
        };
        let located = locate(session, &ids, Detail::Place).await?;
        Ok(located.iter().flatten().filter(|job| matches(job)).map(|job| job.id).collect())
    }
}

impl Among {
    fn of(filter: &JobFilter, order: Order) -> Self {
        if !filter.ids.is_empty() {
            let mut ids: Vec<Uuid> = filter.ids.iter().copied().map(row::uuid).collect();
            ids.sort_unstable();
            ids.dedup();
            if order == Order::NewestFirst {
                ids.reverse();
            }
            return Self::Ids(ids);
        }
        let mut places: Vec<Place> = filter.states.iter().copied().map(Place::of).collect();
        places.sort_unstable();
        places.dedup();
        if places.is_empty() { Self::Jobs } else { Self::Places(places) }
    }
}
