//! One connection of a client, and its transactions one after the other.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gristmill_core::{Enqueued, ExistingBy, JobId, NewJob, Receipt};
use gristmill_outbox::{Driver, Outbox};
use gristmill_outbox_sqlx::{Caller, Connection, Within as _, commit};
use sqlx::{AssertSqlSafe, Executor, Transaction};

use crate::client::Settings;
use crate::journal::{Fact, Journal, Line};
use crate::plan::{End, Plan, Step};
use crate::trouble::Trouble;

/// How long to wait for a server that is not there.
const ABSENCE: Duration = Duration::from_millis(20);

/// An order that may or may not be stored, and the ids of its jobs.
pub(crate) type LeftOver = (Plan, Vec<JobId>);

/// What a killed client's lane had sent COMMIT for without having read the answer, if it is one to repeat.
pub(crate) fn left_over(before: &[Line], lane: u32) -> Option<LeftOver> {
    let of_lane: Vec<&Line> = before.iter().filter(|line| line.lane == lane).collect();
    let last = of_lane.last()?;
    let of_order: Vec<&Line> = of_lane.iter().copied().filter(|line| line.number == last.number).collect();
    let is_sent =
        of_order.iter().any(|line| matches!(line.fact, Fact::BeganAgain | Fact::Commits | Fact::Uncertain));
    let is_open = !last.fact.is_end() || last.fact == Fact::Uncertain;
    let plan = Plan::of(last.number);
    if !(is_sent && is_open && plan.is_repeated) {
        return None;
    }
    let ids = of_order.first()?.note.split(',').map(|id| id.parse().expect("it is an id")).collect();
    Some((plan, ids))
}

/// A lane.
#[derive(Debug)]
pub(crate) struct Lane<C> {
    settings: Rc<Settings>,
    /// Which of the client's.
    number: u32,
    outbox: Outbox,
    begin: &'static str,
    journal: Rc<Journal>,
    is_stopping: Arc<AtomicBool>,
    connection: Option<C>,
}

impl<C> Lane<C>
where
    C: sqlx::Connection + Caller<Connection = C>,
    C::Database: sqlx::Database<Connection = C>,
    for<'c> &'c mut C: Executor<'c, Database = C::Database>,
    for<'c> Connection<'c, C>: Driver,
{
    pub(crate) fn new(
        settings: Rc<Settings>,
        number: u32,
        outbox: Outbox,
        begin: &'static str,
        journal: Rc<Journal>,
        is_stopping: Arc<AtomicBool>,
    ) -> Self {
        Self { settings, number, outbox, begin, journal, is_stopping, connection: None }
    }

    /// Repeats what was left over, and then stores order after order.
    pub(crate) async fn run(mut self, left_over: Option<LeftOver>) {
        if let Some((plan, ids)) = left_over {
            let mut jobs = plan.jobs(&self.outbox);
            for (job, id) in jobs.iter_mut().zip(ids) {
                job.id = id;
            }
            self.store(&plan, &jobs, Fact::BeganAgain).await;
        }
        for number in self.settings.first_order(self.number).. {
            if self.is_stopping.load(Ordering::Relaxed) {
                break;
            }
            let plan = Plan::of(number);
            let jobs = plan.jobs(&self.outbox);
            self.store(&plan, &jobs, Fact::Began).await;
        }
    }

    /// Stores an order, or rolls it back on purpose. Repeats it if its result is unknown and the plan allows
    /// it.
    async fn store(&mut self, plan: &Plan, jobs: &[NewJob], mut began: Fact) {
        while let Some(mut connection) = self.connected().await {
            let Ok(tx) = connection.begin_with(self.begin).await else {
                continue;
            };
            let ids: Vec<String> = jobs.iter().map(|job| job.id.to_string()).collect();
            self.journal.write(self.number, began, plan.number, &ids.join(","));
            let order = Order { lane: self, plan, jobs, began };
            let (fact, words) = match order.store(tx).await {
                Ok(fact) => (fact, String::new()),
                Err(trouble) => (trouble.fact, trouble.words),
            };
            self.journal.write(self.number, fact, plan.number, &words);
            if fact != Fact::Lost && fact != Fact::Uncertain {
                self.connection = Some(connection);
            }
            // Of a repeat, too, only its end is the answer.
            let is_repeated = match fact {
                Fact::Uncertain => plan.is_repeated,
                Fact::Lost | Fact::Refused => began == Fact::BeganAgain,
                _ => false,
            };
            if !is_repeated {
                return;
            }
            began = Fact::BeganAgain;
        }
    }

    /// The connection, made anew where it was lost; none when the client stops.
    async fn connected(&mut self) -> Option<C> {
        loop {
            if let Some(connection) = self.connection.take() {
                return Some(connection);
            }
            if let Ok(connection) = C::connect(&self.settings.url).await {
                return Some(connection);
            }
            if self.is_stopping.load(Ordering::Relaxed) {
                return None;
            }
            tokio::time::sleep(ABSENCE).await;
        }
    }

    /// A moment to be killed in.
    async fn pause(&self) {
        let longest = u64::try_from(self.settings.pause.as_micros()).unwrap_or(u64::MAX);
        if fastrand::u8(..3) > 0 {
            tokio::time::sleep(Duration::from_micros(fastrand::u64(0..=longest))).await;
        }
    }
}

/// One transaction of an order.
struct Order<'o, C> {
    lane: &'o Lane<C>,
    plan: &'o Plan,
    jobs: &'o [NewJob],
    began: Fact,
}

impl<C> Order<'_, C>
where
    C: sqlx::Connection + Caller<Connection = C>,
    C::Database: sqlx::Database<Connection = C>,
    for<'c> &'c mut C: Executor<'c, Database = C::Database>,
    for<'c> Connection<'c, C>: Driver,
{
    /// Takes the steps and ends the transaction.
    async fn store(&self, mut tx: Transaction<'_, C::Database>) -> Result<Fact, Trouble> {
        // Of the row and of each job, whether it was new.
        let mut are_new = Vec::new();
        for step in &self.plan.steps {
            self.lane.pause().await;
            match step {
                Step::Row => {
                    are_new.push(self.insert_row(&mut tx).await?);
                    self.write(Fact::Row);
                }
                Step::Jobs(parts) => are_new.extend(self.enqueue(&mut tx, parts.clone()).await?),
                Step::JobsInSavepoint(parts) => {
                    execute(&mut tx, "SAVEPOINT jobs").await?;
                    are_new.extend(self.enqueue(&mut tx, parts.clone()).await?);
                    execute(&mut tx, "RELEASE SAVEPOINT jobs").await?;
                }
                Step::Regretted => {
                    execute(&mut tx, "SAVEPOINT regretted").await?;
                    let job = self.plan.regretted(&self.lane.outbox);
                    self.lane.outbox.within(&mut tx).enqueue_prepared(&[job]).await?;
                    execute(&mut tx, "ROLLBACK TO SAVEPOINT regretted").await?;
                }
                Step::SecondOfKey => self.enqueue_second(&mut tx).await?,
            }
        }
        self.check(&are_new)?;
        self.lane.pause().await;
        match self.plan.end {
            End::RollBack => {
                tx.rollback().await?;
                Ok(Fact::RolledBack)
            }
            End::Commit => {
                self.write(Fact::Commits);
                commit(tx).await?;
                Ok(Fact::Committed)
            }
        }
    }

    /// A first transaction finds nothing; a repeat finds all of the first or nothing of it.
    fn check(&self, are_new: &[bool]) -> Result<(), Trouble> {
        let expected = if self.began == Fact::Began { Some(&true) } else { are_new.first() };
        if are_new.iter().all(|is_new| Some(is_new) == expected) {
            return Ok(());
        }
        Err(Trouble::fault(format!("the row and the jobs are new each: {are_new:?}, {:?}", self.began)))
    }

    async fn insert_row(&self, tx: &mut Transaction<'_, C::Database>) -> Result<bool, Trouble> {
        let Plan { number, parts, .. } = self.plan;
        let sql = format!(
            "INSERT INTO orders (number, parts) VALUES ({number}, {parts}) ON CONFLICT DO NOTHING RETURNING number"
        );
        Ok((&mut **tx).fetch_optional(AssertSqlSafe(sql)).await?.is_some())
    }

    /// Of each whether it was new. A job whose key another order holds is enqueued without a key.
    async fn enqueue(
        &self,
        tx: &mut Transaction<'_, C::Database>,
        parts: Range<usize>,
    ) -> Result<Vec<bool>, Trouble> {
        let jobs = &self.jobs[parts];
        let mut receipts = self.lane.outbox.within(tx).enqueue_prepared(jobs).await?;
        for (receipt, job) in receipts.iter_mut().zip(jobs) {
            match receipt.enqueued {
                Enqueued::Existing { by: ExistingBy::UniqueKey, .. } if self.plan.shares_its_key() => {
                    let mut job = job.clone();
                    job.spec.unique_key = None;
                    *receipt = only(self.lane.outbox.within(tx).enqueue_prepared(&[job]).await?)?;
                }
                Enqueued::Existing { by: ExistingBy::UniqueKey, .. } => {
                    return Err(Trouble::fault(format!("somebody holds an order's own key: {receipt:?}")));
                }
                Enqueued::Created
                | Enqueued::Existing { by: ExistingBy::Id, .. }
                | Enqueued::Replaced { .. }
                | Enqueued::Refused { .. } => {}
            }
        }
        self.write(Fact::Jobs);
        Ok(receipts.iter().map(Receipt::is_new).collect())
    }

    /// The holder of the key is the first job, and the transaction goes on. In a repeat the first job may
    /// have ended.
    async fn enqueue_second(&self, tx: &mut Transaction<'_, C::Database>) -> Result<(), Trouble> {
        if self.began == Fact::BeganAgain {
            return Ok(());
        }
        let second = self.plan.second(&self.lane.outbox);
        let receipt = only(self.lane.outbox.within(tx).enqueue_prepared(&[second]).await?)?;
        if receipt.enqueued == (Enqueued::Existing { id: self.jobs[0].id, by: ExistingBy::UniqueKey }) {
            return Ok(());
        }
        Err(Trouble::fault(format!("a second job with the same key was answered {receipt:?}")))
    }

    fn write(&self, fact: Fact) {
        self.lane.journal.write(self.lane.number, fact, self.plan.number, "");
    }
}

async fn execute<D: sqlx::Database>(tx: &mut Transaction<'_, D>, sql: &'static str) -> Result<(), Trouble>
where
    for<'c> &'c mut D::Connection: Executor<'c, Database = D>,
{
    (&mut **tx).execute(sql).await?;
    Ok(())
}

fn only(receipts: Vec<Receipt>) -> Result<Receipt, Trouble> {
    receipts.into_iter().next().ok_or_else(|| Trouble::fault("a job has no receipt"))
}
