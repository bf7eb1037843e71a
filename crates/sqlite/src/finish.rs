//! Ends runs, each only if its token holds.

use gristmill_core::{
    FinishItem, FinishReply, FinishRequest, Finished, JobState, Lease, LostWhy, RunFacts, RunRecord,
    Timestamp, settle,
};
use gristmill_sql::EndedBy;
use rusqlite::{OptionalExtension, params};

use crate::claim::{Claim, Held, Member, Tally, placed};
use crate::error::Answer;
use crate::group::Group;
use crate::run::{End, LAST_RUN, run_key};

pub(crate) fn finish(group: &mut Group<'_>, request: &FinishRequest, now: Timestamp) -> Answer<FinishReply> {
    let mut claims = Claimed::default();
    // In the order of their rows' keys: appending at the end of a table is what SQLite does fastest, and pages that are
    // split in the middle are renumbered, after which each commit searches the whole page cache. Follow-up jobs keep
    // the order of the request.
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
        let settled = settle(item.decision, item.ending, facts);
        let end = End { settled, by: EndedBy::Worker, said: Some(item), now };
        let Some(state) = self.end_run(held, place, &end)? else { return self.lost(item, now) };
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

    pub(crate) fn run_facts(&mut self, held: &Held, place: usize) -> Answer<RunFacts> {
        let Member { seq, tally, facts } = &held.claim.members[place];
        let cancel_requested = self.has_cancels()?
            && self
                .prepare("SELECT 1 FROM cancels WHERE seq = ?1 AND run = ?2")?
                .exists(params![seq, tally.run])?;
        Ok(RunFacts {
            attempt: tally.attempt,
            crashes: tally.crashes,
            max_attempts: facts.as_ref().map_or(u16::MAX, |job| job.max_attempts),
            cancel_requested,
        })
    }

    /// The one way a run ends: its row, which only one can append, then the job's move. Gives where the job went;
    /// `None` when the row was there.
    pub(crate) fn end_run(
        &mut self,
        held: &mut Held,
        place: usize,
        end: &End<'_>,
    ) -> Answer<Option<JobState>> {
        let claim = std::sync::Arc::clone(&held.claim);
        let member = &claim.members[place];
        let Member { tally, facts: Some(job), .. } = member else { return Ok(None) };
        let reason = end.settled.reason.map(gristmill_core::Reason::as_str);
        let reason = reason.or_else(|| end.said.and_then(|item| item.reason.as_deref()));
        let End { settled, now, .. } = *end;
        if !self.append_run(&claim, member, end, reason)? {
            return Ok(None);
        }
        if RunRecord::trimmed_at(tally.run).is_some() {
            self.sums.trimmed.insert(job.seq, tally.run);
        }
        held.open -= 1;
        self.count(job.queue, JobState::Running, -1);
        if self.has_cancels()? {
            self.prepare("DELETE FROM cancels WHERE seq = ?1")?.execute([job.seq])?;
            self.cancels_changed();
        }
        let tally = Tally { run: tally.run, attempt: settled.attempt, crashes: settled.crashes };
        let comes_back = !settled.state.is_terminal();
        let moved = (comes_back && tally.run >= LAST_RUN).then(|| self.renumber(job, tally)).transpose()?;
        let (job, tally) = moved.as_ref().map_or((job, tally), |(job, tally)| (job, *tally));
        if settled.is_parked() && settled.state == JobState::Scheduled {
            self.park(job.into(), tally)?;
        } else if !settled.state.is_terminal() {
            self.put(job, tally, settled.state, settled.due(now, job.run_at), reason)?;
        } else if !self.end(job, tally, settled.state, now, reason)? {
            self.erase(job)?;
            held.pruned = true;
            // Claims of earlier runs may be open, too.
            if tally.run > 1 {
                self.note_erased(job.seq);
            }
        }
        Ok(Some(settled.state))
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
        let answer = ended_by.and_then(EndedBy::from_number).map(EndedBy::answer);
        let answer = answer.unwrap_or(Finished::LeaseLost { why: LostWhy::Unknown });
        if answer == Finished::AlreadyAccepted {
            return Ok(answer);
        }
        self.count_stale_finish();
        let detail = format!("run {run}, {}", item.ending);
        self.add_event(seq, now, "stale finish", None, Some(&detail))?;
        Ok(answer)
    }
}
