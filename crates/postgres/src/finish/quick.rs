//! The quick way: one statement for runs that completed and leave nothing else to do.
//!
//! Whether a claim's runs end is decided by one change of its row. Where the row is not as expected, because
//! a cancel was asked for, a run ends twice, or the claim is gone, none of its runs end here. The key of
//! `attempts` is the second line: a run that has ended before rolls back the whole statement.

use std::time::Duration;

use gristmill_core::{
    Call, End, EndedBy, Ending, FinishItem, JobState, Output, Retention, RunEnd, RunRecord, Stay, Timestamp,
    Why,
};
use std::borrow::Cow;
use uuid::Uuid;

use crate::error::Answer;
use crate::handle::Inner;
use crate::member::{self, Member};
use crate::place::LATE;
use crate::row;
use crate::session::Session;
use crate::statement::sql;

/// The start of a run that does not say when it started.
const NO_START: i64 = -1;

/// Whether the end of a run may leave nothing to do but its row: no consequence of the job's options, no job
/// to put back, no job to store, no old runs to delete. A cancel that was asked for is the statement's to
/// find.
pub(super) fn is_simple(item: &FinishItem) -> bool {
    let member = Member::of_place(item.lease.place);
    if !member.has_plain_end
        || item.error.is_some()
        || !item.effects.is_empty()
        || RunRecord::trimmed_at(item.lease.run).is_some()
    {
        return false;
    }
    let facts = member.facts(item.lease.run, None, false);
    let End {
        run,
        state,
        stay,
        // The row has the attempt. A completed job has no crashes.
        attempt: _,
        crashes: _,
        reason,
        keeps_output,
        // It holds no key.
        frees_key: _,
        event,
        // The caller tells.
        hints_end: _,
    } = End::of_finish(item.decision, item.ending, facts, Timestamp::EPOCH);
    run == Some(RunEnd { ending: Ending::Completed, by: EndedBy::Worker })
        && state == JobState::Completed
        && stay == Stay::Kept { until: Timestamp::EPOCH + kept() }
        && reason == Why::Sent
        && keeps_output
        && event.is_none()
}

/// How long a completed job is kept that does not say so itself.
fn kept() -> Duration {
    Retention::default().of(JobState::Completed).unwrap_or_default()
}

/// Ends those of the items whose claims are as expected, and gives their places.
pub(super) async fn finish(
    inner: &Inner,
    session: &mut Session,
    call: Call,
    items: &[FinishItem],
    places: &[usize],
) -> Answer<Vec<usize>> {
    let mut order: Vec<(Uuid, usize)> =
        places.iter().map(|place| (member::nonce(&items[*place].lease), *place)).collect();
    order.sort_unstable();
    let batch = Batch::of(items, &order, now_about(inner, call));
    let accepted = match batch.send(session, call.now).await {
        Err(fail) if fail.is_unique_violation() => return Ok(Vec::new()),
        answer => answer?,
    };
    Ok(batch.items_of(&accepted).map(|place| order[place].1).collect())
}

/// About what the store's clock says. It only decides which deletions are noted that need not be.
fn now_about(inner: &Inner, call: Call) -> Timestamp {
    call.now.unwrap_or_else(|| inner.server_now())
}

/// An empty list for one of ones: most runs are the first of their job, and a server takes longer to read a
/// number than to find that there is none.
fn unless_all_are_one(values: &Vec<i32>) -> &Vec<i32> {
    static ALL_ONES: Vec<i32> = Vec::new();
    if values.iter().all(|value| *value == 1) { &ALL_ONES } else { values }
}

/// The items as arrays, each claim's one after the other.
#[derive(Default)]
struct Batch<'i> {
    nonces: Vec<Uuid>,
    counts: Vec<i32>,
    /// The place of each claim's last item, from 1.
    lasts: Vec<i32>,
    tokens: Vec<i32>,
    ids: Vec<Uuid>,
    runs: Vec<i32>,
    attempts: Vec<i32>,
    run_ats: Vec<i64>,
    starts: Vec<i64>,
    reasons: Vec<Option<Cow<'i, str>>>,
    outputs: Vec<Option<&'i [u8]>>,
    expires: Vec<bool>,
    /// Until when the oldest job goes with its partition, of those whose deletion is not noted.
    until: Option<Timestamp>,
}

impl<'i> Batch<'i> {
    fn of(items: &'i [FinishItem], order: &[(Uuid, usize)], now: Timestamp) -> Self {
        let mut batch = Self::default();
        for (nonce, place) in order {
            batch.push(*nonce, &items[*place], now);
        }
        batch
    }

    fn push(&mut self, nonce: Uuid, item: &'i FinishItem, now: Timestamp) {
        if self.nonces.last() != Some(&nonce) {
            self.nonces.push(nonce);
            self.tokens.push(member::short_token(nonce));
            self.counts.push(0);
            self.lasts.push(self.lasts.last().copied().unwrap_or(0));
        }
        if let (Some(count), Some(last)) = (self.counts.last_mut(), self.lasts.last_mut()) {
            *count += 1;
            *last += 1;
        }
        let member = Member::of_place(item.lease.place);
        let id = row::uuid(item.lease.job);
        self.ids.push(id);
        self.runs.push(row::run(item.lease.run));
        self.attempts.push(i32::from(member.attempt));
        self.run_ats.push(member.run_at.as_millis());
        self.starts.push(item.started_at.map_or(NO_START, Timestamp::as_millis));
        self.reasons.push(item.reason.as_deref().map(row::storable));
        self.outputs.push(item.output.as_ref().map(Output::as_bytes));
        let made_at = row::made_at(id);
        // Half of the time: the clock may be wrong by the other half.
        let expires = now.since(made_at) > LATE / 2;
        self.expires.push(expires);
        if !expires {
            let until = made_at + LATE;
            self.until = Some(self.until.map_or(until, |earliest| earliest.min(until)));
        }
    }

    /// The places of the claims, from 1, whose items were accepted.
    async fn send(&self, session: &mut Session, given_now: Option<Timestamp>) -> Answer<Vec<i32>> {
        let given = given_now.map(Timestamp::as_millis);
        let until = self.until.map_or(i64::MAX, Timestamp::as_millis);
        let Self { nonces, counts, lasts, tokens, ids, runs, attempts, run_ats, starts, .. } = self;
        let rows = if self.has_words() {
            let Self { reasons, outputs, expires, .. } = self;
            session
                .query(
                    sql!("finish_with_words"),
                    &[
                        &given,
                        &until,
                        nonces,
                        counts,
                        lasts,
                        tokens,
                        ids,
                        runs,
                        attempts,
                        run_ats,
                        starts,
                        reasons,
                        outputs,
                        expires,
                        &row::millis(kept()),
                    ],
                )
                .await?
        } else {
            session
                .query(
                    sql!("finish"),
                    &[
                        &given,
                        &until,
                        nonces,
                        counts,
                        lasts,
                        tokens,
                        ids,
                        unless_all_are_one(runs),
                        unless_all_are_one(attempts),
                        run_ats,
                        starts,
                    ],
                )
                .await?
        };
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    fn has_words(&self) -> bool {
        self.reasons.iter().any(Option::is_some)
            || self.outputs.iter().any(Option::is_some)
            || self.expires.contains(&true)
    }

    /// The places of these claims' items, from 0.
    fn items_of(&self, claims: &[i32]) -> impl Iterator<Item = usize> {
        let size = |number: i32| usize::try_from(number).unwrap_or(0);
        claims.iter().flat_map(move |claim| {
            let claim = size(*claim - 1);
            let (count, last) = (size(self.counts[claim]), size(self.lasts[claim]));
            last - count..last
        })
    }
}
