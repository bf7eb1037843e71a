//! The operator's acts: on one job, and on all that match.

use gristmill_core::{
    Backend, Call, Cursor, Error, ErrorKind, JobFilter, JobId, JobPatch, Reply, Select, Verb, VerbReply,
    VerbRequest, Verdict,
};

use super::Client;

/// How many jobs one call of a bulk act takes.
const PAGE: usize = 500;

/// What a bulk act did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Tally {
    /// Jobs it was done to.
    pub done: u64,
    /// Running jobs whose handler will be signalled.
    pub requested: u64,
    /// Jobs that were left as they are: ended before, in a state that forbids it, or in conflict with a
    /// unique key.
    pub untouched: u64,
}

impl Tally {
    fn add(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Done => self.done += 1,
            Verdict::Requested => self.requested += 1,
            Verdict::AlreadyTerminal | Verdict::Conflict(_) | Verdict::Refused(_) | Verdict::NotFound => {
                self.untouched += 1;
            }
        }
    }
}

macro_rules! verbs {
    ($($(#[$doc:meta])* $one:ident, $(#[$all_doc:meta])* $all:ident, $verb:ident;)+) => {
        impl Client {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// The store's. That the job is not there, or in the wrong state, is a verdict.
                ///
                /// # Cancel safety
                /// Dropped, it is done or not.
                pub async fn $one(&self, id: JobId) -> Result<Verdict, Error> {
                    self.verdict(Verb::$verb, id).await
                }

                $(#[$all_doc])*
                ///
                /// Works in calls of 500 jobs, by id; jobs that come to match meanwhile may be taken along.
                /// An empty filter means every job.
                ///
                /// # Errors
                /// The store's; the calls before it have taken effect.
                ///
                /// # Cancel safety
                /// Dropped, it is done to a part of the jobs.
                pub async fn $all(&self, filter: JobFilter) -> Result<Tally, Error> {
                    self.sweep(Verb::$verb, filter).await
                }
            )+
        }
    };
}

verbs! {
    /// Cancels a job. One that has not started ends `cancelled` at once; the handler of a running one is
    /// signalled within about a second, and whatever its run comes to, the job ends `cancelled`.
    cancel,
    /// Cancels every job that matches.
    cancel_all, Cancel;

    /// Runs a job again by hand, from attempt 1: one that has ended, or one that waits for its time. Its
    /// history stays.
    retry,
    /// Runs every job that matches again by hand.
    retry_all, Retry;

    /// Removes a job with its history. A running one is refused.
    delete,
    /// Removes every job that matches.
    delete_all, Delete;

    /// Releases a suspended job: it is available now.
    release_hold,
    /// Releases every suspended job that matches.
    release_hold_all, ReleaseHold;
}

impl Client {
    /// Changes a job that has not started. Others are refused.
    ///
    /// # Errors
    /// The store's. That the job is not there, or in the wrong state, is a verdict.
    ///
    /// # Cancel safety
    /// Dropped, it is done or not.
    pub async fn update(&self, id: JobId, patch: JobPatch) -> Result<Verdict, Error> {
        let request = self.signed(VerbRequest::ids(vec![id]));
        let call = self.call("update", |backend, call| backend.update(call, request, patch));
        only_verdict(call.await?)
    }

    /// One call of an operator's act, on ids or on a page of the jobs that match; the reply says what became
    /// of each, and where the next page begins. For programs that show progress; [`Verb::Update`] is refused,
    /// since it says nothing of what changes.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) for an update; else the store's.
    ///
    /// # Cancel safety
    /// Dropped, it is done or not.
    pub async fn act(&self, verb: Verb, select: Select) -> Result<VerbReply, Error> {
        type Operation = for<'a> fn(&'a dyn Backend, Call, VerbRequest) -> Reply<'a, VerbReply>;
        let operation: Operation = match verb {
            Verb::Cancel => |backend, call, request| backend.cancel(call, request),
            Verb::Retry => |backend, call, request| backend.retry(call, request),
            Verb::Delete => |backend, call, request| backend.delete(call, request),
            Verb::ReleaseHold => |backend, call, request| backend.release_hold(call, request),
            Verb::Update => {
                let error = Error::invalid("an update needs to know what changes");
                return Err(error.with_hint("use `Client::update`"));
            }
        };
        let request = self.signed(match select {
            Select::Ids(ids) => VerbRequest::ids(ids),
            Select::Filter { filter, cursor, limit } => VerbRequest::filter(filter, cursor, limit),
        });
        self.call(verb.as_str(), |backend, call| operation(backend, call, request)).await
    }

    fn signed(&self, request: VerbRequest) -> VerbRequest {
        match &self.0.actor {
            Some(actor) => request.by(actor.clone()),
            None => request,
        }
    }

    async fn verdict(&self, verb: Verb, id: JobId) -> Result<Verdict, Error> {
        only_verdict(self.act(verb, Select::Ids(vec![id])).await?)
    }

    async fn sweep(&self, verb: Verb, filter: JobFilter) -> Result<Tally, Error> {
        let mut tally = Tally::default();
        let mut cursor: Option<Cursor> = None;
        loop {
            let select = Select::Filter { filter: filter.clone(), cursor, limit: PAGE };
            let reply = self.act(verb, select).await?;
            reply.jobs.iter().for_each(|(_, verdict)| tally.add(verdict));
            match reply.next {
                Some(next) => cursor = Some(next),
                None => return Ok(tally),
            }
        }
    }
}

fn only_verdict(mut reply: VerbReply) -> Result<Verdict, Error> {
    let verdict = reply.jobs.pop().map(|(_, verdict)| verdict);
    verdict.ok_or_else(|| Error::new(ErrorKind::Internal, "the store answered without a word on the job"))
}
