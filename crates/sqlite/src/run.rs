//! Runs as rows, appended when they end.

use gristmill_core::{FinishItem, JobState, LeaseToken, Output, RunEnd, RunError, Timestamp};

use crate::claim::{Claim, Member};
use crate::error::Answer;
use crate::group::Group;
use crate::row;
use crate::run_key::run_key;
use crate::statements::{Bound, Ends};

/// What a run's row keeps of its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunRow<'i> {
    pub(crate) run: RunEnd,
    pub(crate) state: JobState,
    pub(crate) reason: Option<&'i str>,
    pub(crate) keeps_output: bool,
    /// What its worker says of it.
    pub(crate) item: Option<&'i FinishItem>,
    pub(crate) now: Timestamp,
}

impl<'c> Group<'c> {
    /// Appends the row of a run; `false` when it was there.
    pub(crate) fn append_run(&mut self, claim: &Claim, member: &Member, ended: &RunRow<'_>) -> Answer<bool> {
        let RunRow { run: RunEnd { ending, by }, state, reason, keeps_output, item, now } = *ended;
        let error = item.and_then(|item| item.error.as_ref());
        let output = item.and_then(|item| item.output.as_ref()).filter(|_| keeps_output);
        let is_plain = reason.is_none() && error.is_none() && output.is_none();
        if !is_plain {
            self.sums.bytes +=
                error.map_or(0, RunError::bytes) + output.map_or(0, |output| output.as_bytes().len());
        }
        let ends = self.ends()?;
        let bound = Bound { nonce: claim.nonce, ending, state, by, now };
        // Bindings stay from run to run: what a batch has in common is bound once.
        let is_bound = is_plain && ends.bound.replace(bound) == Some(bound);
        let statement = if is_plain { &mut ends.plain } else { &mut ends.full };
        statement.raw_bind_parameter(1, run_key(member.seq, member.tally.run))?;
        statement.raw_bind_parameter(2, member.tally.attempt)?;
        let started_at = item.and_then(|item| item.started_at);
        statement.raw_bind_parameter(3, started_at.map(Timestamp::as_millis))?;
        if !is_bound {
            statement.raw_bind_parameter(4, row::ending_number(ending))?;
            statement.raw_bind_parameter(5, row::state_number(state))?;
            statement.raw_bind_parameter(6, Claim::short_token(LeaseToken(claim.nonce)))?;
            statement.raw_bind_parameter(7, row::ended_by_number(by))?;
            statement.raw_bind_parameter(8, row::worker_bytes(claim.worker))?;
            statement.raw_bind_parameter(9, claim.fetched_at.as_millis())?;
            statement.raw_bind_parameter(10, now.as_millis())?;
        }
        if !is_plain {
            statement.raw_bind_parameter(11, reason)?;
            statement.raw_bind_parameter(12, error.map(|error| error.message.as_str()))?;
            statement.raw_bind_parameter(13, error.and_then(|error| error.backtrace.as_deref()))?;
            statement.raw_bind_parameter(14, output.map(Output::as_bytes))?;
        }
        Ok(statement.raw_execute()? == 1)
    }

    fn ends(&mut self) -> Answer<&mut Ends<'c>> {
        if self.ends.is_none() {
            self.ends = Some(Ends::prepare(self.connection)?);
        }
        Ok(self.ends.as_mut().expect("it was set"))
    }
}
