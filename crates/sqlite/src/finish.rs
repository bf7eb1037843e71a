//! Ends runs, each only if its token holds.

use gristmill_core::{
    Ending, FinishItem, FinishReply, FinishRequest, Finished, JobState, Lease, LeaseToken, LostWhy, Output,
    RunFacts, Settlement, Timestamp, settle,
};
use rusqlite::{CachedStatement, OptionalExtension, params};

use crate::claim::{Claim, Held, Member, Tally, placed};
use crate::error::{Answer, Fail};
use crate::fetch::fetch;
use crate::group::Group;
use crate::row;

/// Who ends a run, as its row keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndedBy {
    Worker,
    Rescue,
    GiveBack,
}

impl EndedBy {
    const ALL: [Self; 3] = [Self::Worker, Self::Rescue, Self::GiveBack];

    const fn number(self) -> i64 {
        match self {
            Self::Worker => 0,
            Self::Rescue => 1,
            Self::GiveBack => 2,
        }
    }
}

/// How a run ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End<'i> {
    pub(crate) settled: Settlement,
    pub(crate) by: EndedBy,
    /// What its worker says of it.
    pub(crate) said: Option<&'i FinishItem>,
    pub(crate) now: Timestamp,
}

/// The statements that end a run, looked up once a group: finishes come in thousands.
pub(crate) struct Ends<'c> {
    plain: CachedStatement<'c>,
    full: CachedStatement<'c>,
}

pub(crate) fn finish(group: &mut Group<'_>, request: &FinishRequest, now: Timestamp) -> Answer<FinishReply> {
    let mut claims = Claimed::default();
    let finished =
        request.items.iter().map(|item| group.finish_one(&mut claims, item, now)).collect::<Answer<_>>()?;
    for (held, _) in claims.0.iter().filter(|(_, changed)| *changed) {
        group.keep_claim(held)?;
    }
    let fetched = request.then_fetch.as_ref().map(|request| fetch(group, request, now)).transpose();
    // The finishes stand, whatever becomes of the fetch behind them.
    let fetched = fetched.map_err(|fail| match fail {
        Fail::Refused(error) => Fail::Refused(error.maybe_stored()),
        broken @ Fail::Broken(_) => broken,
    })?;
    Ok(FinishReply::new(finished, fetched))
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

impl<'c> Group<'c> {
    fn finish_one(&mut self, claims: &mut Claimed, item: &FinishItem, now: Timestamp) -> Answer<Finished> {
        let Some((held, changed)) = claims.find(self, &item.lease)? else {
            return self.lost(item, now);
        };
        let Some(place) = self.place_of(held, &item.lease)? else { return self.lost(item, now) };
        let facts = self.run_facts(held, place)?;
        let settled = settle(item.decision, item.ending, facts);
        if !self.end_run(held, place, &End { settled, by: EndedBy::Worker, said: Some(item), now })? {
            return self.lost(item, now);
        }
        *changed = true;
        for effect in &item.effects {
            // A duplicate effect is not stored and does not spoil the finish.
            self.store(effect, now)?;
        }
        Ok(Finished::Accepted { state: settled.state })
    }

    /// The place of a lease's run in its claim, if it is there and its job is.
    pub(crate) fn place_of(&self, held: &Held, lease: &Lease) -> Answer<Option<usize>> {
        let (_, place) = placed(lease);
        let Some(member) = held.claim.members.get(place) else { return Ok(None) };
        let Some(job) = member.facts.as_ref().filter(|job| job.id == lease.job) else { return Ok(None) };
        if member.tally.run != lease.run || (held.pruned && !self.is_there(job.seq)?) {
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

    /// The one way a run ends: its row, which only one can append, then the job's move. `false` when the row was there.
    pub(crate) fn end_run(&mut self, held: &mut Held, place: usize, end: &End<'_>) -> Answer<bool> {
        let End { settled, said, now, .. } = *end;
        let claim = std::sync::Arc::clone(&held.claim);
        let Member { tally, facts: Some(job), .. } = &claim.members[place] else { return Ok(false) };
        let reason = settled.reason.map(gristmill_core::Reason::as_str);
        let reason = reason.or_else(|| said.and_then(|item| item.reason.as_deref()));
        if !self.append_run(&claim, place, end, reason)? {
            return Ok(false);
        }
        held.open -= 1;
        self.count(job.queue, JobState::Running, -1);
        if self.has_cancels()? {
            self.prepare("DELETE FROM cancels WHERE seq = ?1")?.execute([job.seq])?;
            self.cancels_changed();
        }
        let tally = Tally { run: tally.run, attempt: settled.attempt, crashes: settled.crashes };
        if !settled.state.is_terminal() {
            self.put(job, tally, settled.state, settled.due(now, job.run_at), reason)?;
        } else if !self.end(job, tally, settled.state, now, reason)? {
            self.erase(job)?;
            held.pruned = true;
        }
        Ok(true)
    }

    fn append_run(
        &mut self,
        claim: &Claim,
        place: usize,
        end: &End<'_>,
        reason: Option<&str>,
    ) -> Answer<bool> {
        let End { settled, by, said, now } = *end;
        let Member { seq, tally, .. } = &claim.members[place];
        let error = said.and_then(|item| item.error.as_ref());
        let output = said.and_then(|item| item.output.as_ref());
        let output = output.filter(|_| settled.ending == Ending::Completed);
        let is_plain = reason.is_none() && error.is_none() && output.is_none();
        let ends = self.ends()?;
        let statement = if is_plain { &mut ends.plain } else { &mut ends.full };
        statement.raw_bind_parameter(1, seq)?;
        statement.raw_bind_parameter(2, tally.run)?;
        statement.raw_bind_parameter(3, tally.attempt)?;
        statement.raw_bind_parameter(4, row::ending_number(settled.ending))?;
        statement.raw_bind_parameter(5, row::state_number(settled.state))?;
        statement.raw_bind_parameter(6, Claim::short_token(LeaseToken(claim.nonce)))?;
        statement.raw_bind_parameter(7, by.number())?;
        statement.raw_bind_parameter(8, row::worker_bytes(claim.worker))?;
        statement.raw_bind_parameter(9, claim.fetched_at.as_millis())?;
        let started_at = said.and_then(|item| item.started_at);
        statement.raw_bind_parameter(10, started_at.map(Timestamp::as_millis))?;
        statement.raw_bind_parameter(11, now.as_millis())?;
        if !is_plain {
            statement.raw_bind_parameter(12, reason)?;
            statement.raw_bind_parameter(13, error.map(|error| error.message.as_str()))?;
            statement.raw_bind_parameter(14, error.and_then(|error| error.backtrace.as_deref()))?;
            statement.raw_bind_parameter(15, output.map(Output::as_bytes))?;
        }
        Ok(statement.raw_execute()? == 1)
    }

    fn ends(&mut self) -> Answer<&mut Ends<'c>> {
        if self.ends.is_none() {
            self.ends = Some(Ends {
                plain: self.prepare(include_str!("../sql/append_plain_run.sql"))?,
                full: self.prepare(include_str!("../sql/append_run.sql"))?,
            });
        }
        Ok(self.ends.as_mut().expect("it was set"))
    }

    /// What to answer to a finish whose token does not hold, or no longer.
    fn lost(&mut self, item: &FinishItem, now: Timestamp) -> Answer<Finished> {
        let Lease { job, run, token, .. } = &item.lease;
        let Some(seq) = self.seq_of(*job)? else {
            self.count_stale_finish();
            return Ok(Finished::LeaseLost { why: LostWhy::Unknown });
        };
        let ended_by: Option<i64> = self
            .prepare("SELECT ended_by FROM runs WHERE seq = ?1 AND run = ?2 AND token = ?3")?
            .query_row(params![seq, run, Claim::short_token(*token)], |row| row.get(0))
            .optional()?;
        let why = match EndedBy::ALL.into_iter().find(|by| Some(by.number()) == ended_by) {
            Some(EndedBy::Worker) => return Ok(Finished::AlreadyAccepted),
            Some(EndedBy::Rescue) => LostWhy::Rescued,
            Some(EndedBy::GiveBack) => LostWhy::GivenBack,
            None => LostWhy::Unknown,
        };
        self.count_stale_finish();
        let detail = format!("run {run}, {}", item.ending);
        self.add_event(seq, now, "stale finish", None, Some(&detail))?;
        Ok(Finished::LeaseLost { why })
    }
}
