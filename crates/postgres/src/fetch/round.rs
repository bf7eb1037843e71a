//! One round of a fetch: wishes whose priorities do not overlap, and the ranges of the index that serve them.

use std::time::Instant;

use gristmill_core::Priority;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::cursor::{Cursors, Found, Position, Scan};
use crate::error::Answer;
use crate::row;

use super::jobs::{Batch, Key, Rows, Taken};
use super::{Ask, Wish};

/// Wishes that one statement serves, with its parameters. A round that is dropped counts as rolled back.
pub(super) struct Round<'r> {
    wishes: Vec<(Wish<'r>, Scan<'r>)>,
    queues: Vec<i32>,
    most: Vec<i64>,
    nonces: Vec<Uuid>,
    first_lanes: Vec<i32>,
    last_lanes: Vec<i32>,
    lanes: Lanes,
}

/// Ranges of the index: of one priority each, after one position, up to and including another.
#[derive(Default)]
struct Lanes {
    priorities: Vec<i16>,
    after_run_ats: Vec<i64>,
    after_ids: Vec<Uuid>,
    last_run_ats: Vec<i64>,
    last_ids: Vec<Uuid>,
}

/// Spreads wishes over rounds. Wishes that overlap go into rounds of their own, in the order of the request.
pub(super) fn rounds<'r>(cursors: &'r Cursors, wishes: Vec<Wish<'r>>) -> Vec<Round<'r>> {
    let mut spread: Vec<Vec<Wish<'r>>> = Vec::new();
    for wish in wishes {
        let after = spread.iter().rposition(|round| round.iter().any(|other| wish.overlaps(other)));
        let round = after.map_or(0, |after| after + 1);
        match spread.get_mut(round) {
            Some(wishes) => wishes.push(wish),
            None => spread.push(vec![wish]),
        }
    }
    spread.into_iter().map(|wishes| Round::begin(cursors, wishes)).collect()
}

impl Wish<'_> {
    pub(super) fn range(&self) -> (Priority, Priority) {
        self.want.priorities.unwrap_or((Priority::FIRST, Priority::LAST))
    }

    fn overlaps(&self, other: &Self) -> bool {
        let ((first, last), (other_first, other_last)) = (self.range(), other.range());
        self.queue == other.queue && first <= other_last && other_first <= last
    }

    fn wants(&self, key: &Key) -> bool {
        let (first, last) = self.range();
        self.queue == key.queue && (first..=last).contains(&row::priority(key.priority))
    }
}

impl<'r> Round<'r> {
    fn begin(cursors: &'r Cursors, wishes: Vec<Wish<'r>>) -> Self {
        let now = Instant::now();
        let (mut first_lanes, mut last_lanes) = (Vec::new(), Vec::new());
        let mut lanes = Lanes::default();
        let queues = wishes.iter().map(|wish| wish.queue).collect();
        let most = wishes.iter().map(|wish| row::size(wish.want.max)).collect();
        let nonces = wishes.iter().map(|wish| wish.nonce).collect();
        let begun = wishes.into_iter().map(|wish| {
            let scan = cursors.begin(wish.queue, wish.range(), now);
            first_lanes.push(lanes.next());
            lanes.add(&scan);
            last_lanes.push(lanes.next() - 1);
            (wish, scan)
        });
        let wishes = begun.collect();
        Self { wishes, queues, most, nonces, first_lanes, last_lanes, lanes }
    }

    /// The parameters of the statement. `claimed` are the queues that have a claim of this fetch already.
    pub(super) fn params<'p>(&'p self, ask: &'p Ask, claimed: &'p Vec<i32>) -> [&'p (dyn ToSql + Sync); 16] {
        let lanes = &self.lanes;
        [
            &ask.now,
            &ask.worker,
            &ask.claim,
            &self.queues,
            &self.most,
            &self.nonces,
            &self.first_lanes,
            &self.last_lanes,
            &lanes.priorities,
            &lanes.after_run_ats,
            &lanes.after_ids,
            &lanes.last_run_ats,
            &lanes.last_ids,
            claimed,
            &ask.lock,
            &ask.range_from,
        ]
    }

    /// Advances the cursors before the commit: fetches that begin from now on begin after these jobs.
    pub(super) fn reached(&self, taken: &[Taken]) {
        // Mostly one run of jobs of one priority.
        let runs = taken.chunk_by(|one, next| one.key.priority == next.key.priority);
        let last: Vec<Key> = runs.filter_map(|run| run.iter().map(|job| job.key).max()).collect();
        for (wish, scan) in &self.wishes {
            let mine = last.iter().filter(|key| wish.wants(key));
            scan.reached(mine.map(|key| (key.priority, key.position())));
        }
    }

    /// Adds the jobs that the statement took to a batch, in order, and counts them for each want of the
    /// request. Advances the cursors. A job without a row was deleted and is left out, but counted.
    pub(super) fn hand_out(
        self,
        taken: &[Taken],
        mut rows: Rows<'_>,
        paused: &[i32],
        given: &mut [usize],
        batch: &mut Batch<'_>,
    ) -> Answer<()> {
        let mut order = Vec::with_capacity(taken.len());
        for job in taken {
            let wish = if self.wishes.len() == 1 {
                0
            } else {
                self.wishes.iter().position(|(wish, _)| wish.wants(&job.key)).unwrap_or(0)
            };
            order.push((wish, job.key, job));
        }
        order.sort_unstable_by_key(|(wish, key, _)| (*wish, *key));
        let mut rest = order.as_slice();
        let now = Instant::now();
        for (place, (wish, scan)) in self.wishes.into_iter().enumerate() {
            let (mine, others) = rest.split_at(rest.partition_point(|(wish, ..)| *wish == place));
            rest = others;
            for (_, key, job) in mine {
                if let Some(row) = rows.find(key.id) {
                    batch.add(&wish.want.queue, wish.nonce, job, row)?;
                }
            }
            given[wish.place] = mine.len();
            let found = if mine.len() >= wish.want.max {
                Found::Enough
            } else if paused.contains(&wish.queue) {
                Found::Unknown
            } else {
                Found::TooLittle
            };
            let last_of_each = mine.chunk_by(|(_, one, _), (_, next, _)| one.priority == next.priority);
            let taken: Vec<(i16, Position)> = last_of_each
                .filter_map(|of_priority| of_priority.last())
                .map(|(_, key, _)| (key.priority, key.position()))
                .collect();
            scan.end(now, found, &taken);
        }
        Ok(())
    }

    /// Ends the scans without a result: the cursors stay.
    pub(super) fn leave(self) {
        let now = Instant::now();
        self.wishes.into_iter().for_each(|(_, scan)| scan.end(now, Found::Unknown, &[]));
    }
}

impl Lanes {
    /// Index of the next range, counted from 1 as SQL does.
    fn next(&self) -> i32 {
        i32::try_from(self.priorities.len() + 1).unwrap_or(i32::MAX)
    }

    /// Adds the ranges after the cursors first. Those before them are read only if the first ones have too
    /// few jobs.
    fn add(&mut self, scan: &Scan<'_>) {
        for (priority, position) in scan.lanes() {
            self.push(priority, position, Position::END);
        }
        for (priority, position) in scan.lanes_before() {
            self.push(priority, Position::START, position);
        }
    }

    fn push(&mut self, priority: i16, after: Position, last: Position) {
        self.priorities.push(priority);
        self.after_run_ats.push(after.run_at_ms);
        self.after_ids.push(after.id);
        self.last_run_ats.push(last.run_at_ms);
        self.last_ids.push(last.id);
    }
}
