//! Applies the cancels, updates and deletes that callers' transactions have stored.
//!
//! The rows of a round are cut into groups of one act each. A group that fails is undone alone and applied
//! row by row. A row that fails alone stays, and later rows of its job wait behind it.

use std::time::Instant;

use gristmill_core::{BackendErrorKind, JobPatch, Timestamp, Verb, VerbRequest, Verdict};
use gristmill_sql::{
    FailedRequest, REQUEST_REFUSED, REQUESTS_PER_ROUND, StoredRequest, refusal_detail, request_groups,
};
use rusqlite::{Connection, ErrorCode, params};

use crate::error::{Answer, Fail};
use crate::group::Group;
use crate::memory::Memory;
use crate::remark::Remark;
use crate::request_pause::paused_until;
use crate::row;

/// What a round did.
#[derive(Debug, Default)]
pub(crate) struct RequestRound {
    /// Requests that are gone or set aside.
    pub(crate) done: usize,
    /// The round was full: there may be more, to be applied at once.
    pub(crate) more: bool,
    /// When to go on: with those that failed, or with the next round of many beside other operations.
    pub(crate) resume_at: Option<Timestamp>,
}

/// The act of a group.
struct RequestedAct<'r> {
    verb: Verb,
    patch: Option<JobPatch>,
    actor: Option<&'r str>,
}

/// Why an act failed that was undone.
struct Failure {
    error: String,
    /// It comes from the request and its job, and not from the disk, the schema or other programs.
    is_of_request: bool,
}

impl Failure {
    fn of(fail: &Fail) -> Self {
        use BackendErrorKind::{Refused, Undecodable};
        use ErrorCode::{ConstraintViolation, TooBig, TypeMismatch};
        match fail {
            Fail::Broken(error) => {
                let code = error.sqlite_error_code();
                let is_of_request = matches!(code, None | Some(ConstraintViolation | TooBig | TypeMismatch));
                Self { error: error.to_string(), is_of_request }
            }
            Fail::Refused(error) => {
                let is_of_request = matches!(error.kind(), Refused | Undecodable);
                Self { error: error.to_string(), is_of_request }
            }
        }
    }
}

/// When the next round of requests is due; `None` where there is no request that can be read.
pub(crate) fn due(connection: &Connection, memory: &Memory, now: Timestamp) -> Answer<Option<Timestamp>> {
    let mut select =
        connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM requests WHERE fault IS NULL)")?;
    let is_there: bool = select.query_row([], |row| row.get(0))?;
    if !is_there {
        return Ok(None);
    }
    let paused = paused_until(connection, now)?;
    Ok(memory.request_pass.retry().into_iter().chain(paused).chain([now]).max())
}

impl Group<'_> {
    /// Applies requests in the order of their inserts, at most [`REQUESTS_PER_ROUND`].
    pub(crate) fn apply_requests(&mut self, limit: usize, now: Timestamp) -> Answer<RequestRound> {
        let limit = limit.min(REQUESTS_PER_ROUND);
        let rows = self.open_requests(self.memory.request_pass.behind(), limit)?;
        if let Some(until) = paused_until(self.connection, now)?.filter(|_| !rows.is_empty()) {
            // This call was not an operation beside the round that it waits for.
            self.memory.operations = self.memory.operations.saturating_sub(1);
            return Ok(RequestRound { resume_at: Some(until), ..RequestRound::default() });
        }
        let is_full = !rows.is_empty() && rows.len() == limit;
        self.memory.request_pass.begin_round(&rows, is_full);
        let (begun, mut done) = (Instant::now(), 0);
        for range in request_groups(&rows) {
            done += self.apply_group(&rows[range], now)?;
        }
        self.memory.request_pass.end_round(&rows, is_full, now);
        let pause = self.pause_requests(is_full, begun, now)?;
        Ok(RequestRound {
            done,
            more: is_full && pause.is_none(),
            resume_at: pause.into_iter().chain(self.memory.request_pass.retry()).min(),
        })
    }

    fn open_requests(&self, behind: i64, limit: usize) -> Answer<Vec<StoredRequest>> {
        let mut select = self.prepare(include_str!("../sql/requests.sql"))?;
        let rows = select.query_map(params![behind, row::size(limit)], |row| {
            Ok(StoredRequest {
                request: row::integer(row, 0),
                id: row::job_id(row, 1),
                verb: row::string(row, 2).unwrap_or_default(),
                patch: row::string(row, 3),
                actor: row::string(row, 4),
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Applies requests that are alike; returns how many are gone or set aside.
    fn apply_group(&mut self, rows: &[StoredRequest], now: Timestamp) -> Answer<usize> {
        let is_left = |row: &&StoredRequest| self.memory.request_pass.is_left(row.id);
        let rows: Vec<&StoredRequest> = rows.iter().filter(|row| !is_left(row)).collect();
        let Some(first) = rows.first() else { return Ok(0) };
        let (verb, patch) = match first.decode() {
            Ok(decoded) => decoded,
            Err(fault) => return self.set_requests_aside(&rows, &fault),
        };
        let act = RequestedAct { verb, patch, actor: first.actor.as_deref() };
        if self.undoing(|group| group.request_act(&rows, &act, now))?.is_none() {
            return Ok(rows.len());
        }
        let mut done = 0;
        for row in rows {
            if !self.memory.request_pass.is_left(row.id) {
                done += self.apply_alone(row, &act, now)?;
            }
        }
        Ok(done)
    }

    fn apply_alone(&mut self, row: &StoredRequest, act: &RequestedAct<'_>, now: Timestamp) -> Answer<usize> {
        let Some(failure) = self.undoing(|group| group.request_act(&[row], act, now))? else { return Ok(1) };
        let Failure { error, is_of_request } = failure;
        match self.memory.request_pass.fail(row, is_of_request, now) {
            FailedRequest::ForLong(times) => {
                self.set_requests_aside(&[row], &format!("it failed {times} times: {error}"))
            }
            FailedRequest::First => {
                self.sums.remarks.push(Remark::RequestFailed(row.request, error));
                Ok(0)
            }
            FailedRequest::Again => Ok(0),
        }
    }

    fn request_act(&mut self, rows: &[&StoredRequest], act: &RequestedAct<'_>, now: Timestamp) -> Answer<()> {
        let mut request = VerbRequest::ids(rows.iter().map(|row| row.id).collect());
        request.actor = act.actor.map(str::to_owned);
        let reply = self.operate(act.verb, &request, act.patch.as_ref(), now)?;
        let dropped = reply.jobs.iter().filter(|(_, verdict)| *verdict == Verdict::NotFound).count();
        if dropped > 0 {
            self.sums.remarks.push(Remark::RequestsDropped(dropped));
        }
        for (id, verdict) in reply.jobs {
            if let Some(detail) = refusal_detail(act.verb, &verdict)
                && let Some(seq) = self.seq_of(id)?
            {
                self.add_event(seq, now, REQUEST_REFUSED, act.actor, Some(&detail))?;
            }
        }
        let mut delete = self.prepare("DELETE FROM requests WHERE request = ?1")?;
        for row in rows {
            delete.execute([row.request])?;
        }
        Ok(())
    }

    fn set_requests_aside(&mut self, rows: &[&StoredRequest], fault: &str) -> Answer<usize> {
        let mut update = self.prepare("UPDATE requests SET fault = ?2 WHERE request = ?1")?;
        for row in rows {
            update.execute(params![row.request, fault])?;
            self.sums.remarks.push(Remark::RequestSetAside(row.request, fault.to_owned()));
        }
        Ok(rows.len())
    }

    /// Runs an act in a savepoint. Where it fails, its changes are undone and the failure is returned. An
    /// error that has ended the whole transaction is passed on.
    fn undoing(&mut self, act: impl FnOnce(&mut Self) -> Answer<()>) -> Answer<Option<Failure>> {
        let sums = self.sums.clone();
        self.execute("SAVEPOINT request")?;
        match act(self) {
            Ok(()) => {
                self.execute("RELEASE request")?;
                Ok(None)
            }
            Err(fail) if self.connection.is_autocommit() => Err(fail),
            Err(fail) => {
                self.execute("ROLLBACK TO request")?;
                self.execute("RELEASE request")?;
                self.sums = sums;
                let pass = std::mem::take(&mut self.memory.request_pass);
                self.memory.forget();
                self.memory.request_pass = pass;
                Ok(Some(Failure::of(&fail)))
            }
        }
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.prepare(sql)?.execute([]).map(drop)
    }
}
