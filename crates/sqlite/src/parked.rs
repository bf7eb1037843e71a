//! Parked jobs: their kinds, and those that a worker has handlers for.

use std::sync::Arc;

use gristmill_core::{Count, KindSet, Name, ParkedKind, Priority, QueueWant, Timestamp, WorkerId};
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Answer;
use crate::fetch::priorities;
use crate::group::Group;
use crate::row;

/// What a fetch has to know of its worker.
pub(crate) struct Fetching {
    pub(crate) kinds: Arc<KindSet>,
    /// A job of the file is parked, in whatever queue.
    pub(crate) is_any_parked: bool,
}

impl Group<'_> {
    /// The kinds of a worker that is there.
    pub(crate) fn fetching(&mut self, worker: WorkerId) -> Answer<Fetching> {
        let mut select = self.prepare(include_str!("../sql/kinds_of_worker.sql"))?;
        let mut rows = select.query([row::worker_bytes(worker)])?;
        let row = rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        let text = row::text(row, 0).unwrap_or_default();
        let is_any_parked = row::integer(row, 1) != 0;
        let known = self.memory.latest_kinds.as_ref().filter(|(known, _)| *known == text);
        if let Some((_, kinds)) = known {
            return Ok(Fetching { kinds: Arc::clone(kinds), is_any_parked });
        }
        let kinds = Arc::new(KindSet::new(&row::read_names(&text)));
        self.memory.latest_kinds = Some((text.into_owned(), Arc::clone(&kinds)));
        Ok(Fetching { kinds, is_any_parked })
    }

    /// The first parked jobs of a queue that a worker has handlers for, in the order of fetching.
    pub(crate) fn first_parked(&self, want: &QueueWant, queue: i64, kinds: &KindSet) -> Answer<Vec<i64>> {
        let (first, last) = priorities(want);
        let kinds = if kinds.is_every() {
            kinds_of(self.connection, queue)?
        } else {
            kinds.iter().map(|kind| kind.as_str().to_owned()).collect()
        };
        let mut select = self.prepare(include_str!("../sql/parked_of_kind.sql"))?;
        let mut found: Vec<(i64, i64, i64)> = Vec::new();
        for kind in kinds {
            let bound = params![queue, kind, first, last, row::size(want.max)];
            for key in select.query_map(bound, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))? {
                found.push(key?);
            }
        }
        found.sort_unstable();
        Ok(found.into_iter().take(want.max).map(|(.., seq)| seq).collect())
    }
}

/// The kinds that have parked jobs in a queue, by name: one look each.
fn kinds_of(connection: &Connection, queue: i64) -> Answer<Vec<String>> {
    let mut select = connection.prepare_cached(include_str!("../sql/next_parked_kind.sql"))?;
    let (mut kinds, mut before) = (Vec::new(), String::new());
    while let Some(kind) =
        select.query_row(params![queue, before], |row| row.get::<_, String>(0)).optional()?
    {
        before.clone_from(&kind);
        kinds.push(kind);
    }
    Ok(kinds)
}

/// The numbers of a queue's parked jobs, kind by kind.
pub(crate) fn numbers(
    connection: &Connection,
    queue: i64,
    cap: Option<u64>,
    now: Timestamp,
) -> Answer<Vec<ParkedKind>> {
    let mut number = connection.prepare_cached(include_str!("../sql/parked_number.sql"))?;
    let mut first = connection.prepare_cached(include_str!("../sql/first_parked_of_priority.sql"))?;
    // One more tells whether there are more.
    let limit = cap.map_or(-1, |cap| i64::try_from(cap.saturating_add(1)).unwrap_or(i64::MAX));
    let mut parked = Vec::new();
    for kind in kinds_of(connection, queue)? {
        // A kind that this version cannot name is not one it can report.
        let Ok(name) = Name::new(&kind) else { continue };
        let count: i64 = number.query_row(params![queue, kind, limit], |row| row.get(0))?;
        let mut oldest: Option<i64> = None;
        for priority in Priority::all() {
            let due: Option<i64> =
                first.query_row(params![queue, kind, priority.get()], |row| row.get(0)).optional()?;
            oldest = oldest.into_iter().chain(due).min();
        }
        let oldest = oldest.map_or(now, Timestamp::from_millis);
        let count = Count::up_to(cap, row::amount(count));
        parked.push(ParkedKind { kind: name, count, oldest: now.since(oldest) });
    }
    Ok(parked)
}
