//! What is done to jobs: a call, and how its answer is read. The same for drivers that block and for those
//! that do not.

use gristmill_core::{Enqueue, Error, ErrorKind, Job, JobId, JobPatch, NewJob, Receipt};

use crate::answer::{self, Read};
use crate::chunk::chunks;
use crate::statement::Verb;
use crate::{Call, Outbox, OutboxFilter, OutboxJob, OutboxPage, Refusal, RequestReceipt, request};

/// Reads an answer's text.
type Reader<'j, T> = Box<dyn FnOnce(&str) -> Read<T> + Send + 'j>;

/// One call on its way, and the way back.
pub(crate) struct Act<'j, T> {
    call: Call,
    read: Reader<'j, T>,
}

impl<T> Act<'_, T> {
    pub(crate) fn call(&self) -> &Call {
        &self.call
    }

    /// What the driver's answer means.
    pub(crate) fn answered(self, outbox: &Outbox, answer: Result<String, Refusal>) -> Result<T, Error> {
        let text = answer.map_err(|refusal| refusal.into_error(outbox, self.call.verb()))?;
        (self.read)(&text).map_err(|fault| fault.into_error(outbox))
    }
}

fn act<'j, T>(
    outbox: &Outbox,
    verb: Verb,
    request: String,
    read: impl FnOnce(&str) -> Read<T> + Send + 'j,
) -> Act<'j, T> {
    Act { call: Call::new(outbox.statements().clone(), verb, request), read: Box::new(read) }
}

/// Checks all jobs, and gives each its id.
pub(crate) fn prepare_all<J, I>(outbox: &Outbox, jobs: I) -> Result<Vec<NewJob>, Error>
where
    J: Job,
    I: IntoIterator,
    I::Item: Into<Enqueue<J>>,
{
    let prepare = |(place, job): (usize, I::Item)| {
        outbox.prepare(job).map_err(|error| Error::invalid(format!("job {}: {error}", place + 1)))
    };
    jobs.into_iter().enumerate().map(prepare).collect()
}

/// The calls that store jobs, each made when its turn comes; what is wrong with any job is said before the
/// first.
pub(crate) fn enqueue<'j>(
    outbox: &'j Outbox,
    jobs: &'j [NewJob],
) -> Result<impl Iterator<Item = Result<Act<'j, Vec<Receipt>>, Error>> + 'j, Error> {
    jobs.iter().try_for_each(request::check)?;
    Ok(chunks(jobs).map(|chunk| {
        let request = request::enqueue(chunk)?;
        Ok(act(outbox, Verb::Enqueue, request, |text| answer::receipts(text, chunk)))
    }))
}

pub(crate) fn cancel(outbox: &Outbox, id: JobId) -> Act<'static, RequestReceipt> {
    act(outbox, Verb::Request, request::cancel(id, outbox.acting()), answer::request)
}

pub(crate) fn delete(outbox: &Outbox, id: JobId) -> Act<'static, RequestReceipt> {
    act(outbox, Verb::Request, request::delete(id, outbox.acting()), answer::request)
}

pub(crate) fn update(
    outbox: &Outbox,
    id: JobId,
    patch: JobPatch,
) -> Result<Act<'static, RequestReceipt>, Error> {
    let request = request::update(id, outbox.acting(), patch)?;
    Ok(act(outbox, Verb::Request, request, answer::request))
}

pub(crate) fn get(outbox: &Outbox, id: JobId) -> Act<'static, Option<OutboxJob>> {
    let request = request::get(id);
    act(outbox, Verb::Get, request, answer::job)
}

pub(crate) fn list(outbox: &Outbox, filter: &OutboxFilter) -> Act<'static, OutboxPage> {
    act(outbox, Verb::List, request::list(filter), answer::page)
}

/// The receipt of the one job that was sent.
pub(crate) fn only(mut receipts: Vec<Receipt>) -> Result<Receipt, Error> {
    let receipt = receipts.pop();
    receipt
        .ok_or_else(|| Error::new(ErrorKind::Internal, "an enqueue was answered without a word on the job"))
}
