//! Leases available jobs to a worker.

use std::sync::Arc;
use std::time::Duration;

use gristmill_core::{
    Args, BackendError, FetchReply, FetchRequest, FetchedJob, FetchedQueue, FinishItem, FinishRequest,
    Finished, JobSpec, JobState, KindSet, Name, Priority, QueueWant, Timestamp, WorkerId,
};
use gristmill_sql::Unread;
use rusqlite::{OptionalExtension, Row, params};

use crate::batch::Batch;
use crate::claim::{Claim, Facts, Member, Tally};
use crate::error::Answer;
use crate::finish::finish;
use crate::group::Group;
use crate::notify::next_due;
use crate::place::Parking;
use crate::remark::Remark;
use crate::row;
use crate::run_key::LAST_RUN;

/// A fetch parks no more jobs of a queue than this: its caller asks again.
const PARKED_AT_ONCE: usize = 10_000;
/// The column of the kind in `fetch.sql` and `parked_job.sql`.
const KIND: usize = 7;

pub(crate) fn fetch(group: &mut Group<'_>, request: &FetchRequest, now: Timestamp) -> Answer<FetchReply> {
    let lease = group.alive(request.worker, now)?.expires_in;
    if let Some(key) = group.claim_key(request.worker, request.claim)? {
        return group.repeat(key, request, lease, now);
    }
    let fetching = group.fetching(request.worker)?;
    let next_due = group.next_due()?;
    let mut batch = group.memory.batches.begin();
    let mut queues = Vec::with_capacity(request.queues.len());
    for want in &request.queues {
        let mut state = group.look(want)?;
        batch.given = 0;
        state.answer.exhausted = want.max > 0;
        if let Some(queue) = state.number.filter(|_| !state.answer.paused) {
            let is_clear =
                !fetching.is_any_parked || group.take_parked(want, queue, &fetching.kinds, &mut batch)?;
            state.answer.exhausted = group.take_ready(want, queue, &fetching.kinds, &mut batch)? && is_clear;
        }
        if want.max == 0 {
            state.answer.exhausted = !fetching.is_any_parked && !group.has_ready(want, state.number)?;
        }
        state.answer.next_due = next_due;
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

    /// Whether a queue has an available job of the wanted priorities.
    fn has_ready(&self, want: &QueueWant, queue: Option<i64>) -> Answer<bool> {
        let (first, last) = priorities(want);
        let mut select = self.prepare(include_str!("../sql/has_ready.sql"))?;
        Ok(select.query_row(params![queue, first, last], |row| row.get(0))?)
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

    /// Takes the first parked jobs of a queue that the worker has handlers for. `false` when rows of jobs
    /// that are gone stood among them: these rows go, and others may follow.
    fn take_parked(
        &mut self,
        want: &QueueWant,
        queue: i64,
        kinds: &KindSet,
        batch: &mut Batch,
    ) -> Answer<bool> {
        let seqs = self.first_parked(want, queue, kinds)?;
        let mut select = self.prepare(include_str!("../sql/parked_job.sql"))?;
        let mut delete = self.prepare("DELETE FROM waiting WHERE seq = ?1")?;
        let mut taken = 0;
        for seq in &seqs {
            let mut rows = select.query([seq])?;
            if let Some(row) = rows.next()? {
                let kind = self.kind(row, KIND);
                self.take_row(row, kind, &want.queue, queue, batch)?;
                taken += 1;
            }
            delete.execute([seq])?;
        }
        batch.given += taken;
        if !seqs.is_empty() {
            self.count(queue, JobState::Scheduled, -row::size(seqs.len()));
            self.count(queue, JobState::Running, row::size(taken));
        }
        Ok(taken == seqs.len())
    }

    /// Takes the first available jobs of a queue that the worker has handlers for, parks those of other kinds
    /// that stand before them, and says whether nothing is left.
    ///
    /// The writer is alone and the priorities wanted are a range, so what was selected is everything from the
    /// range's start to the last row selected. That is three ranges of the key, each deleted without a test a
    /// row; as one comparison of rows it took half as long again.
    fn take_ready(
        &mut self,
        want: &QueueWant,
        queue: i64,
        kinds: &KindSet,
        batch: &mut Batch,
    ) -> Answer<bool> {
        let (first, last) = priorities(want);
        let mut select = self.prepare(include_str!("../sql/fetch.sql"))?;
        // The rows are read one by one, so the limit costs nothing.
        let limit = row::size(want.max.saturating_add(PARKED_AT_ONCE));
        let mut rows = select.query(params![queue, first, last, limit])?;
        let (mut end, mut unknown) = (None, Vec::new());
        let before = batch.members.len();
        let mut is_exhausted = false;
        while batch.given < want.max && unknown.len() < PARKED_AT_ONCE {
            let Some(row) = rows.next()? else {
                is_exhausted = true;
                break;
            };
            let kind = self.kind(row, KIND);
            // One whose kind does not decode is set aside by any worker.
            if kind.as_ref().is_ok_and(|kind| !kinds.handles(kind.as_str())) {
                let (job, tally) = parking(row, queue);
                end = Some((job.priority, job.run_at, job.seq));
                unknown.push((job, tally));
                continue;
            }
            let facts = self.take_row(row, kind, &want.queue, queue, batch)?;
            end = Some((facts.priority, facts.run_at.as_millis(), facts.seq));
            batch.given += 1;
        }
        drop(rows);
        if let Some((priority, run_at, seq)) = end {
            // Rows of jobs that are gone are among them.
            let deleted = self
                .prepare(include_str!("../sql/delete_fetched_priorities.sql"))?
                .execute(params![queue, first, priority])?
                + self
                    .prepare(include_str!("../sql/delete_fetched_earlier.sql"))?
                    .execute(params![queue, priority, run_at])?
                + self
                    .prepare(include_str!("../sql/delete_fetched_last.sql"))?
                    .execute(params![queue, priority, run_at, seq])?;
            let taken = batch.members.len() - before;
            self.count(queue, JobState::Available, -row::size(deleted));
            self.count(queue, JobState::Running, row::size(taken));
        }
        for (job, tally) in unknown {
            self.park(job, tally)?;
        }
        Ok(is_exhausted)
    }

    fn take_row<'b>(
        &mut self,
        row: &Row<'_>,
        kind: Result<Name, String>,
        name: &Name,
        queue: i64,
        batch: &'b mut Batch,
    ) -> Answer<&'b Facts> {
        let tally = Tally {
            run: row::count32(row, 3).saturating_add(1).min(LAST_RUN),
            attempt: row::count16(row, 4).saturating_add(1),
            crashes: row::count16(row, 5),
        };
        let kind = kind.unwrap_or_else(|what| {
            batch.bad.push((batch.members.len(), what));
            Name::unreadable()
        });
        let args = self.memory.batches.args.keep(row::blob(row, 9), usize::MAX);
        let mut spec = JobSpec::new(kind, name.clone(), args);
        let (priority, seq) = (row::integer(row, 0), row::integer(row, 2));
        spec.priority = row::priority(priority);
        spec.max_attempts = row::max_attempts(row, 8);
        let is_unique = row::integer(row, 10) != 0 && self.read_options(seq, &mut spec)?;
        let facts = Facts {
            seq,
            id: row::job_id(row, 6),
            queue,
            priority,
            run_at: row::timestamp(row, 1),
            max_attempts: spec.max_attempts.get(),
            is_unique,
            retention: spec.retention.clone(),
        };
        batch.jobs.push(Arc::new(spec));
        batch.members.push(Member { seq, tally, facts: Some(facts) });
        Ok(batch.members.last().and_then(|member| member.facts.as_ref()).expect("it was pushed"))
    }

    /// The kind in a column, or what is there instead.
    fn kind(&mut self, row: &Row<'_>, column: usize) -> Result<Name, String> {
        let text = row::text(row, column).unwrap_or_default();
        self.memory.kinds.name(&text).map_err(|_| {
            let mut unread = Unread::default();
            unread.note("kind", &text);
            unread.into_text().unwrap_or_default()
        })
    }

    /// Makes the claim of a batch; none for an empty one.
    fn grant(&mut self, request: &FetchRequest, now: Timestamp, batch: Batch) -> Answer<Vec<FetchedJob>> {
        let Batch { jobs, members, bad, .. } = batch;
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
        let is_good = |place: &usize| bad.binary_search_by_key(place, |(bad, _)| *bad).is_err();
        let leased = jobs.into_iter().zip(&claim.members).enumerate().filter(|(place, _)| is_good(place));
        let leased = leased.map(|(place, (spec, member))| {
            let facts = member.facts.as_ref().expect("a job that was just taken is there");
            fetched(&claim, place, facts, member.tally, spec)
        });
        let leased = leased.collect();
        self.set_aside(&claim, &bad, now)?;
        Ok(leased)
    }

    /// Ends the runs of those members of a claim that do not decode.
    fn set_aside(&mut self, claim: &Arc<Claim>, bad: &[(usize, String)], now: Timestamp) -> Answer<()> {
        let items = bad.iter().filter_map(|(place, what)| {
            let Member { tally, facts, .. } = &claim.members[*place];
            let lease = claim.lease(*place, facts.as_ref()?.id, tally.run);
            Some(FinishItem::undecodable(lease, what))
        });
        let items: Vec<FinishItem> = items.collect();
        if items.is_empty() {
            return Ok(());
        }
        let request = FinishRequest::new(items);
        let reply = finish(self, &request, now)?;
        let ended = request.items.into_iter().zip(reply.items);
        let ended = ended.filter(|(_, answer)| matches!(answer, Finished::Accepted { .. }));
        self.sums.remarks.extend(
            ended.map(|(item, _)| Remark::JobSetAside(item.lease.job, item.reason.unwrap_or_default())),
        );
        Ok(())
    }

    /// The jobs of a claim that is there already: the reply to its fetch was lost.
    fn repeat(
        &mut self,
        key: i64,
        request: &FetchRequest,
        lease: Duration,
        now: Timestamp,
    ) -> Answer<FetchReply> {
        let (mut jobs, mut bad) = (Vec::new(), Vec::new());
        if let Some(held) = self.held_by_key(key)? {
            for place in self.open_members(&held.claim)? {
                let member = &held.claim.members[place];
                let Some(facts) = &member.facts else { continue };
                match self.spec(facts)? {
                    Ok(spec) => jobs.push(fetched(&held.claim, place, facts, member.tally, Arc::new(spec))),
                    Err(what) => bad.push((place, what)),
                }
            }
            self.set_aside(&held.claim, &bad, now)?;
        }
        let queues = request.queues.iter().map(|want| Ok(self.look(want)?.answer)).collect::<Answer<_>>()?;
        Ok(FetchReply::new(jobs, queues, lease))
    }

    /// What a job is to do, or what of it does not decode.
    fn spec(&mut self, facts: &Facts) -> Answer<Result<JobSpec, String>> {
        let queue = self.queue_name(facts.queue)?;
        let mut select = self.prepare("SELECT kind, args FROM jobs WHERE seq = ?1")?;
        let mut rows = select.query([facts.seq])?;
        let row = rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        let kind = match self.kind(row, 0) {
            Ok(kind) => kind,
            Err(what) => return Ok(Err(what)),
        };
        let mut spec = JobSpec::new(kind, queue, Args::from_stored(row::blob(row, 1).to_vec()));
        spec.priority = row::priority(facts.priority);
        self.read_options(facts.seq, &mut spec)?;
        Ok(Ok(spec))
    }

    /// Sets the options of a job in its spec; whether it may hold a unique key, which one that does not
    /// decode is, too.
    fn read_options(&self, seq: i64, spec: &mut JobSpec) -> Answer<bool> {
        let mut select = self.prepare(include_str!("../sql/options.sql"))?;
        let mut rows = select.query([seq])?;
        let row = rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        row::read_options(row, 0, spec);
        row::read_encoding(row, 7, spec);
        Ok(row::has(row, 1))
    }
}

/// The first and the last priority that a want asks for. A stored priority that cannot be counts as the
/// nearest end of the scale, so a worker takes it that takes that end.
pub(crate) fn priorities(want: &QueueWant) -> (i64, i64) {
    let (first, last) = want.priorities.unwrap_or((Priority::FIRST, Priority::LAST));
    (
        if first == Priority::FIRST { i64::MIN } else { first.get().into() },
        if last == Priority::LAST { i64::MAX } else { last.get().into() },
    )
}

fn fetched(claim: &Claim, place: usize, facts: &Facts, tally: Tally, spec: Arc<JobSpec>) -> FetchedJob {
    let lease = claim.lease(place, facts.id, tally.run);
    FetchedJob::new(lease, tally.attempt, tally.crashes, facts.run_at, spec)
}

/// The place of a job that a row of `fetch.sql` shows, and how often it has run.
fn parking(row: &Row<'_>, queue: i64) -> (Parking, Tally) {
    let (priority, run_at) = (row::integer(row, 0), row::integer(row, 1));
    let job = Parking { seq: row::integer(row, 2), queue, priority, run_at };
    let tally =
        Tally { run: row::count32(row, 3), attempt: row::count16(row, 4), crashes: row::count16(row, 5) };
    (job, tally)
}
