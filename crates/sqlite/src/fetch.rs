//! Leases available jobs to a worker.

use std::sync::Arc;
use std::time::Duration;

use gristmill_core::{
    Args, BackendError, FetchReply, FetchRequest, FetchedJob, FetchedQueue, JobSpec, JobState, Name,
    Priority, QueueWant, Timestamp, WorkerId,
};
use gristmill_sql::ArgsBlocks;
use rusqlite::{OptionalExtension, Row, params};

use crate::claim::{Claim, Facts, Member, Tally};
use crate::error::{Answer, undecodable};
use crate::group::Group;
use crate::notify::next_due;
use crate::row;

pub(crate) fn fetch(group: &mut Group<'_>, request: &FetchRequest, now: Timestamp) -> Answer<FetchReply> {
    let lease = group.alive(request.worker, now)?.expires_in;
    if let Some(key) = group.claim_key(request.worker, request.claim)? {
        return group.repeat(key, request, lease);
    }
    let next_due = group.next_due()?;
    let mut batch = group.memory.batches.begin();
    let mut queues = Vec::with_capacity(request.queues.len());
    for want in &request.queues {
        let mut state = group.look(want)?;
        let before = batch.jobs.len();
        if let Some(queue) = state.number.filter(|_| !state.answer.paused) {
            group.take_ready(want, queue, &mut batch)?;
        }
        let taken = batch.jobs.len() - before;
        state.answer.exhausted = taken < want.max;
        state.answer.next_due = next_due;
        if let Some(queue) = state.number.filter(|_| taken > 0) {
            group.count(queue, JobState::Available, -row::size(taken));
            group.count(queue, JobState::Running, row::size(taken));
        }
        queues.push(state.answer);
    }
    let jobs = group.grant(request, now, batch)?;
    Ok(FetchReply::new(jobs, queues, lease))
}

/// The leases of a worker: their length, and how long they still hold without a renewal.
pub(crate) struct Alive {
    pub(crate) lease: Duration,
    pub(crate) expires_in: Duration,
}

/// What one fetch has taken so far: each job's spec, and its member of the claim.
struct Batch {
    jobs: Vec<Arc<JobSpec>>,
    members: Vec<Member>,
}

/// What a fetch leaves to the next one.
#[derive(Debug, Default)]
pub(crate) struct Batches {
    args: ArgsBlocks,
    /// How many jobs the latest batch had: mostly the next one has as many.
    latest: usize,
}

impl Batches {
    fn begin(&self) -> Batch {
        Batch { jobs: Vec::with_capacity(self.latest), members: Vec::with_capacity(self.latest) }
    }
}

struct Look {
    number: Option<i64>,
    answer: FetchedQueue,
}

impl Group<'_> {
    /// The worker's leases, if it is known and they hold.
    pub(crate) fn alive(&self, worker: WorkerId, now: Timestamp) -> Answer<Alive> {
        let mut select = self.prepare(include_str!("../sql/alive.sql"))?;
        let bound = params![row::worker_bytes(worker), now.as_millis()];
        let found: Option<(i64, i64)> =
            select.query_row(bound, |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let (lease_ms, expires_at) = found.ok_or_else(|| BackendError::worker_gone(worker))?;
        let expires_in = Timestamp::from_millis(expires_at).since(now);
        Ok(Alive { lease: row::duration(lease_ms), expires_in })
    }

    /// When the next waiting job of any queue is due.
    pub(crate) fn next_due(&self) -> Answer<Option<Timestamp>> {
        next_due(self.connection)
    }

    fn look(&mut self, want: &QueueWant) -> Answer<Look> {
        let mut answer = FetchedQueue::new(want.queue.clone());
        let number = self.memory.queues.find(self.connection, &want.queue)?;
        if let Some(queue) = number {
            let mut select = self.prepare("SELECT paused_at IS NOT NULL FROM queues WHERE queue = ?1")?;
            answer.paused = select.query_row([queue], |row| row.get(0))?;
        }
        Ok(Look { number, answer })
    }

    /// Takes the first available jobs of a queue. The writer is alone and the priorities wanted are a range, so what was
    /// selected is everything from the range's start to the last row selected. That is three ranges of the key, each
    /// deleted without a test a row; as one comparison of rows it took half as long again.
    fn take_ready(&mut self, want: &QueueWant, queue: i64, batch: &mut Batch) -> Answer<()> {
        let (first, last) = want.priorities.unwrap_or((Priority::FIRST, Priority::LAST));
        let mut select = self.prepare(include_str!("../sql/fetch.sql"))?;
        let mut rows = select.query(params![queue, first.get(), last.get(), row::size(want.max)])?;
        let mut end = None;
        while let Some(row) = rows.next()? {
            let facts = self.take_row(row, &want.queue, queue, batch)?;
            end = Some((facts.priority, facts.run_at.as_millis(), facts.seq));
        }
        drop(rows);
        if let Some((priority, run_at, seq)) = end {
            self.prepare(include_str!("../sql/delete_fetched_priorities.sql"))?.execute(params![
                queue,
                first.get(),
                priority
            ])?;
            self.prepare(include_str!("../sql/delete_fetched_earlier.sql"))?
                .execute(params![queue, priority, run_at])?;
            self.prepare(include_str!("../sql/delete_fetched_last.sql"))?
                .execute(params![queue, priority, run_at, seq])?;
        }
        Ok(())
    }

    fn take_row<'b>(
        &mut self,
        row: &Row<'_>,
        name: &Name,
        queue: i64,
        batch: &'b mut Batch,
    ) -> Answer<&'b Facts> {
        let tally = Tally {
            run: row::count32(row, 3)?.saturating_add(1),
            attempt: row::count16(row, 4)?.saturating_add(1),
            crashes: row::count16(row, 5)?,
        };
        let kind = row.get_ref(7)?.as_str().map_err(|_| undecodable("kind"))?;
        let kind = self.memory.kinds.name(kind).map_err(|_| undecodable("name"))?;
        let args = self.memory.batches.args.keep(row::blob(row, 9)?, usize::MAX);
        let mut spec = JobSpec::new(kind, name.clone(), args);
        let (priority, seq) = (row.get(0)?, row.get(2)?);
        spec.priority = row::priority(priority);
        spec.max_attempts = row::max_attempts(row, 8)?;
        if row.get(10)? {
            self.read_options(seq, &mut spec)?;
        }
        let facts = Facts {
            seq,
            id: row::job_id(row, 6)?,
            queue,
            priority,
            run_at: row::timestamp(row, 1)?,
            max_attempts: spec.max_attempts.get(),
            is_unique: spec.unique_key.is_some(),
            retention: spec.retention.clone(),
        };
        batch.jobs.push(Arc::new(spec));
        batch.members.push(Member { seq, tally, facts: Some(facts) });
        Ok(batch.members.last().and_then(|member| member.facts.as_ref()).expect("it was pushed"))
    }

    /// Makes the claim of a batch; none for an empty one.
    fn grant(&mut self, request: &FetchRequest, now: Timestamp, batch: Batch) -> Answer<Vec<FetchedJob>> {
        let Batch { jobs, members } = batch;
        if members.is_empty() {
            return Ok(Vec::new());
        }
        self.memory.batches.latest = members.len();
        let claim = self.insert_claim(Claim {
            key: 0,
            worker: request.worker,
            number: request.claim,
            // 122 random bits, as a worker's id has.
            nonce: WorkerId::random().as_u128(),
            fetched_at: now,
            members,
        })?;
        let leased = jobs.into_iter().zip(&claim.members).enumerate().map(|(place, (spec, member))| {
            let facts = member.facts.as_ref().expect("a job that was just taken is there");
            fetched(&claim, place, facts, member.tally, spec)
        });
        Ok(leased.collect())
    }

    /// The jobs of a claim that is there already: the reply to its fetch was lost.
    fn repeat(&mut self, key: i64, request: &FetchRequest, lease: Duration) -> Answer<FetchReply> {
        let mut jobs = Vec::new();
        if let Some(held) = self.held_by_key(key)? {
            for place in self.open_members(&held.claim)? {
                let member = &held.claim.members[place];
                if let Some(facts) = &member.facts {
                    let spec = self.spec(facts)?;
                    jobs.push(fetched(&held.claim, place, facts, member.tally, Arc::new(spec)));
                }
            }
        }
        let queues = request.queues.iter().map(|want| Ok(self.look(want)?.answer)).collect::<Answer<_>>()?;
        Ok(FetchReply::new(jobs, queues, lease))
    }

    fn spec(&mut self, facts: &Facts) -> Answer<JobSpec> {
        let queue = self.queue_name(facts.queue)?;
        let mut select = self.prepare("SELECT kind, args FROM jobs WHERE seq = ?1")?;
        let mut rows = select.query([facts.seq])?;
        let row = rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        let kind = self.memory.kinds.name(row::text(row, 0)?.unwrap_or_default());
        let kind = kind.map_err(|_| undecodable("name"))?;
        let mut spec = JobSpec::new(kind, queue, Args::from_stored(row::blob(row, 1)?.to_vec()));
        spec.priority = row::priority(facts.priority);
        self.read_options(facts.seq, &mut spec)?;
        Ok(spec)
    }

    fn read_options(&self, seq: i64, spec: &mut JobSpec) -> Answer<()> {
        let mut select = self.prepare(include_str!("../sql/options.sql"))?;
        let mut rows = select.query([seq])?;
        let row = rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        row::read_options(row, 0, spec)
    }
}

fn fetched(claim: &Claim, place: usize, facts: &Facts, tally: Tally, spec: Arc<JobSpec>) -> FetchedJob {
    let lease = claim.lease(place, facts.id, tally.run);
    FetchedJob::new(lease, tally.attempt, tally.crashes, facts.run_at, spec)
}
