//! Ends runs, each only if its token holds.

use gristmill_core::{
    End, EndedBy, FinishItem, FinishReply, FinishRequest, Finished, JobEvent, Lease, LostWhy, Timestamp,
};
use rusqlite::OptionalExtension;

use crate::claim::{Claim, Held, placed};
use crate::error::Answer;
use crate::group::Group;
use crate::row;
use crate::run_key::run_key;

pub(crate) fn finish(group: &mut Group<'_>, request: &FinishRequest, now: Timestamp) -> Answer<FinishReply> {
    let mut claims = Claimed::default();
    // In the order of their rows' keys: appending at the end of a table is what SQLite does fastest, and
    // pages that are split in the middle are renumbered, after which each commit searches the whole page
    // cache. Follow-up jobs keep the order of the request.
    let mut order: Vec<usize> = (0..request.items.len()).collect();
    if request.items.iter().all(|item| item.effects.is_empty()) {
        order.sort_by_key(|index| placed(&request.items[*index].lease));
    }
    let mut finished = vec![Finished::AlreadyAccepted; order.len()];
    for index in order {
        finished[index] = group.finish_one(&mut claims, &request.items[index], now)?;
    }
    for (held, _) in claims.0.iter().filter(|(_, changed)| *changed) {
        group.keep_claim(held)?;
    }
    Ok(FinishReply::new(finished))
}

/// The claims of one request, each looked up once, and whether a run of it has ended since.
#[derive(Default)]
struct Claimed(Vec<(Held, bool)>);

impl Claimed {
    fn find(&mut self, group: &mut Group<'_>, lease: &Lease) -> Answer<Option<&mut (Held, bool)>> {
        let (key, _) = placed(lease);
        let is_it = |(held, _): &(Held, bool)| held.claim.key == key && held.claim.nonce == lease.token.0;
        // The finishes of a batch come together: the claim of the last one is mostly that of the next.
        let known = self.0.iter().rposition(is_it);
        let place = match known {
            Some(place) => place,
            None => match group.held(lease)? {
                Some(held) => {
                    self.0.push((held, false));
                    self.0.len() - 1
                }
                None => return Ok(None),
            },
        };
        Ok(self.0.get_mut(place))
    }
}

impl Group<'_> {
    fn finish_one(&mut self, claims: &mut Claimed, item: &FinishItem, now: Timestamp) -> Answer<Finished> {
        let Some((held, changed)) = claims.find(self, &item.lease)? else {
            return self.lost(item, now);
        };
        let Some(place) = self.place_of(held, &item.lease)? else { return self.lost(item, now) };
        let facts = self.run_facts(held, place)?;
        let end = End::of_finish(item.decision, item.ending, facts, now);
        let Some(state) = self.end_run(held, place, end, Some(item), now)? else {
            return self.lost(item, now);
        };
        *changed = true;
        for effect in &item.effects {
            // A duplicate effect is not stored and does not spoil the finish.
            self.store(effect, now)?;
        }
        Ok(Finished::Accepted { state })
    }

    /// The place of a lease's run in its claim, if it is there and its job is.
    pub(crate) fn place_of(&self, held: &Held, lease: &Lease) -> Answer<Option<usize>> {
        let (_, place) = placed(lease);
        let Some(member) = held.claim.members.get(place) else { return Ok(None) };
        let Some(job) = member.facts.as_ref().filter(|job| job.id == lease.job) else { return Ok(None) };
        if member.tally.run != lease.run
            || ((held.pruned || self.sums.has_erased) && !self.is_there(job.seq)?)
        {
            return Ok(None);
        }
        Ok(Some(place))
    }

    fn is_there(&self, seq: i64) -> Answer<bool> {
        Ok(self.prepare("SELECT 1 FROM jobs WHERE seq = ?1")?.exists([seq])?)
    }

    /// What to answer to a finish whose token does not hold, or no longer.
    fn lost(&mut self, item: &FinishItem, now: Timestamp) -> Answer<Finished> {
        let Lease { job, run, token, .. } = &item.lease;
        let Some(seq) = self.seq_of(*job)? else {
            self.count_stale_finish();
            return Ok(Finished::LeaseLost { why: LostWhy::Unknown });
        };
        let ended_by: Option<i64> = self
            .prepare("SELECT ended_by FROM runs WHERE run_key = ?1 AND token = ?2")?
            .query_row([run_key(seq, *run), Claim::short_token(*token)], |row| row.get(0))
            .optional()?;
        let answer = ended_by.and_then(row::ended_by).map(EndedBy::answer);
        let answer = answer.unwrap_or(Finished::LeaseLost { why: LostWhy::Unknown });
        if answer.is_stale() {
            self.count_stale_finish();
            let JobEvent { at, what, actor, detail, .. } = JobEvent::stale_finish(now, item);
            self.add_event(seq, at, &what, actor.as_deref(), detail.as_deref())?;
        }
        Ok(answer)
    }
}
