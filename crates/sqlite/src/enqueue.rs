//! Stores jobs.

use gristmill_core::{EnqueueReply, EnqueueRequest, Enqueued, ExistingBy, JobState, Name, NewJob, Timestamp};
use rusqlite::params;

use crate::error::Answer;
use crate::group::Group;
use crate::row;
use crate::statements::Inserts;

pub(crate) fn enqueue(
    group: &mut Group<'_>,
    request: &EnqueueRequest,
    now: Timestamp,
) -> Answer<EnqueueReply> {
    let jobs = request.jobs.iter().map(|job| group.store(job, now)).collect::<Answer<_>>()?;
    Ok(EnqueueReply::new(jobs, group.settings.durability))
}

impl Group<'_> {
    /// Stores a job, unless its id or its unique key is there.
    pub(crate) fn store(&mut self, job: &NewJob, now: Timestamp) -> Answer<Enqueued> {
        let existing = |id, by| Ok(Enqueued::Existing { id, by });
        self.sums.bytes += job.bytes();
        let queue = self.queue(&job.spec.queue)?;
        let seq = self.next_seq()?;
        if let Some(key) = &job.spec.unique_key {
            if self.seq_of(job.id)?.is_some() {
                self.return_seq(seq);
                return existing(job.id, ExistingBy::Id);
            }
            if let Some(holder) = self.take_unique(queue, key.as_str(), seq)? {
                self.return_seq(seq);
                return existing(holder, ExistingBy::UniqueKey);
            }
        }
        let (state, due) = job.when.resolve(now);
        if !self.insert_job(job, seq, queue, due, now)? {
            self.return_seq(seq);
            return existing(job.id, ExistingBy::Id);
        }
        if state == JobState::Available {
            let inserts = self.inserts()?;
            inserts.ready.raw_bind_parameter(1, queue)?;
            inserts.ready.raw_bind_parameter(2, job.spec.priority.get())?;
            inserts.ready.raw_bind_parameter(3, due.as_millis())?;
            inserts.ready.raw_bind_parameter(4, seq)?;
            inserts.ready.raw_execute()?;
            self.hint_available(queue)?;
        } else {
            if state != JobState::Suspended {
                self.hint_due(due);
            }
            let nothing = 0;
            self.prepare(include_str!("../sql/insert_waiting.sql"))?.execute(params![
                seq,
                row::state_number(state),
                due.as_millis(),
                nothing,
                nothing,
                nothing,
                None::<&str>
            ])?;
        }
        self.count(queue, state, 1);
        Ok(Enqueued::Created)
    }

    /// `false` when the id is there.
    fn insert_job(
        &mut self,
        job: &NewJob,
        seq: i64,
        queue: i64,
        due: Timestamp,
        now: Timestamp,
    ) -> Answer<bool> {
        let spec = &job.spec;
        let has_options = row::has_options(spec);
        let inserts = self.inserts()?;
        let statement = if has_options { &mut inserts.options } else { &mut inserts.job };
        statement.raw_bind_parameter(1, seq)?;
        statement.raw_bind_parameter(2, job.id.as_bytes())?;
        statement.raw_bind_parameter(3, spec.kind.as_str())?;
        statement.raw_bind_parameter(4, queue)?;
        statement.raw_bind_parameter(5, spec.priority.get())?;
        statement.raw_bind_parameter(6, due.as_millis())?;
        statement.raw_bind_parameter(7, now.as_millis())?;
        statement.raw_bind_parameter(8, spec.max_attempts.get())?;
        statement.raw_bind_parameter(9, spec.args.as_bytes())?;
        if has_options {
            statement
                .raw_bind_parameter(10, spec.unique_key.as_ref().map(gristmill_core::UniqueKey::as_str))?;
            statement.raw_bind_parameter(11, spec.timeout.map(row::millis))?;
            statement.raw_bind_parameter(12, spec.retry.as_deref().map(json))?;
            statement.raw_bind_parameter(13, spec.retention.as_deref().map(json))?;
            let tags = (!spec.tags.is_empty()).then(|| row::write_names(&spec.tags));
            statement.raw_bind_parameter(14, tags)?;
            let metadata = (!spec.metadata.is_empty()).then(|| spec.metadata.to_json());
            statement.raw_bind_parameter(15, metadata)?;
            statement.raw_bind_parameter(16, spec.args.encoding().codec().map(Name::as_str))?;
        }
        Ok(statement.raw_execute()? == 1)
    }
}

impl<'c> Group<'c> {
    fn inserts(&mut self) -> Answer<&mut Inserts<'c>> {
        if self.inserts.is_none() {
            self.inserts = Some(Inserts::prepare(self.connection)?);
        }
        Ok(self.inserts.as_mut().expect("it was set"))
    }
}

fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("a policy is always JSON")
}
