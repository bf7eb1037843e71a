//! Tries what the library relies on, instead of looking it up, in transactions that are rolled back. Trials
//! hardly wait for a lock. They lock only rows and tables of their own, except one partition, briefly and
//! only if it is free.

use gristmill_core::{Clock as _, Diagnosis, SystemClock};
use uuid::Uuid;

use super::role::Role;
use crate::error::{Answer, Fail};
use crate::handle::Inner;
use crate::member;
use crate::row;
use crate::session::Session;
use crate::statement::sql;
use crate::steps::cause_of;

/// What a statement of a trial may take.
const PATIENCE: &str = "SET LOCAL statement_timeout = '2s'";
/// The kind of the jobs that are tried.
const KIND: &str = "gristmill-probe";
/// A span of time in which no job is made (ms): the year 9956.
const SPAN: (i64, i64) = (252_000_000_000_000, 252_000_021_600_000);
/// Leases of trials, of no meaning: they end with the transaction.
const LEASE_MS: i64 = 60_000;

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trial {
    /// The functions for other programs.
    Outbox,
    /// A job from its enqueue to its deletion.
    Job,
    /// A partition is made, and one rotated.
    Partition,
    /// The numbers are folded.
    Numbers,
}

impl Trial {
    const ALL: [Self; 4] = [Self::Outbox, Self::Job, Self::Partition, Self::Numbers];

    fn name(self) -> &'static str {
        match self {
            Self::Outbox => "enqueue by SQL",
            Self::Job => "run a job",
            Self::Partition => "make a partition",
            Self::Numbers => "fold numbers",
        }
    }
}

/// Why a trial did not come to its end.
enum Why {
    /// The server or the connection failed, in this step.
    Failed(&'static str, Fail),
    /// A step answered otherwise than it does: what it did, and the remedy.
    Wrong(String, &'static str),
    /// It was not tried to its end.
    Left(String),
}

/// Tries all of it.
pub(super) async fn trials(inner: &Inner, session: &mut Session, role: &Role) -> Answer<Vec<Diagnosis>> {
    let mut findings = Vec::new();
    let mut worked = Vec::new();
    for trial in Trial::ALL {
        session.begin_hasty().await?;
        session.batch(PATIENCE).await?;
        let outcome = match trial {
            Trial::Outbox => outbox(session).await,
            Trial::Job => job(inner, session).await,
            Trial::Partition => partition(session).await,
            Trial::Numbers => numbers(session).await,
        };
        if let Err(Why::Failed(_, fail)) = &outcome
            && !fail.is_of_server()
        {
            let Err(Why::Failed(_, fail)) = outcome else { continue };
            return Err(fail);
        }
        session.roll_back().await?;
        match outcome {
            Ok(()) => worked.push(trial.name()),
            Err(why) => findings.push(hints(trial, why, role)),
        }
    }
    if !worked.is_empty() {
        findings.insert(0, Diagnosis::fine("trial", format!("tried and rolled back: {}", worked.join(", "))));
    }
    Ok(findings)
}

fn hints(trial: Trial, why: Why, role: &Role) -> Diagnosis {
    let name = trial.name();
    match why {
        Why::Left(reason) => Diagnosis::fine("trial", format!("{name}: not tried: {reason}")),
        Why::Wrong(what, remedy) => Diagnosis::trouble("trial", format!("{name}: {what}"), remedy),
        Why::Failed(_, fail) if fail.is_end_of_turn() => Diagnosis::fine(
            "trial",
            format!("{name}: not tried: another transaction holds a lock that it needs"),
        ),
        Why::Failed(step, fail) => {
            let denied = fail.is_denied();
            let cause = cause_of(fail);
            if denied && (!role.works || trial == Trial::Outbox) {
                let finding = format!("{name}: not tried: the role {} may not: {cause}", role.name);
                return Diagnosis::fine("trial", finding);
            }
            let remedy = if denied {
                "grant it the rights that `gristmill migrate sql` lists at its end"
            } else {
                "mend what the error names; what belongs to the schema is shown by `gristmill migrate sql`"
            };
            Diagnosis::trouble("trial", format!("{name}: `{step}` fails: {cause}"), remedy)
        }
    }
}

fn at(step: &'static str) -> impl FnOnce(Fail) -> Why {
    move |fail| Why::Failed(step, fail)
}

fn wrong(what: impl Into<String>, remedy: &'static str) -> Why {
    Why::Wrong(what.into(), remedy)
}

/// A queue that is not there.
fn new_queue() -> String {
    format!("{KIND}-{:016x}", fastrand::u64(..))
}

async fn enqueue(session: &mut Session, queue: &str) -> Result<Uuid, Why> {
    let params = [&queue as _, &KIND as _];
    let row = session.query_one(sql!("probe_enqueue"), &params).await.map_err(at("enqueue"))?;
    row.try_get(0).map_err(|error| Why::Failed("enqueue", error.into()))
}

async fn outbox(session: &mut Session) -> Result<(), Why> {
    let id = enqueue(session, &new_queue()).await?;
    let protocol = i32::try_from(*gristmill_sql::OUTBOX_PROTOCOLS.end()).unwrap_or(i32::MAX);
    let row = session.query_one(sql!("probe_verbs"), &[&id, &protocol]).await;
    let row = row.map_err(at("outbox_get, outbox_list, outbox_request"))?;
    for column in 0..3 {
        let answer: String = row.try_get(column).map_err(|error| Why::Failed("outbox", error.into()))?;
        if !answer.contains("\"requests\"") && !answer.contains("\"jobs\"") {
            return Err(wrong(format!("a function refuses: {answer}"), "run `gristmill migrate`"));
        }
    }
    Ok(())
}

async fn job(inner: &Inner, session: &mut Session) -> Result<(), Why> {
    let name = new_queue();
    let first = enqueue(session, &name).await?;
    session.batch("SET CONSTRAINTS ALL IMMEDIATE").await.map_err(at("name_queues"))?;
    let rows = session.query(sql!("queue_numbers"), &[&vec![&*name]]).await.map_err(at("queue_numbers"))?;
    let Some(queue) = rows.first().and_then(|row| row.try_get::<_, i32>(0).ok()) else {
        let what = "the trigger `name_queues` does not run: jobs of new queues are never found";
        return Err(wrong(what, "enable it, and reset session_replication_role; see the findings above"));
    };
    let second = row::uuid(inner.ids.next(SystemClock.now()));
    store(session, second, queue).await?;
    let worker = Uuid::from_u128(fastrand::u128(..));
    let none: Option<i64> = None;
    session
        .execute(sql!("register_worker"), &[&none, &worker, &KIND, &LEASE_MS, &1_i64, &"[]", &"[]"])
        .await
        .map_err(at("register_worker"))?;
    let nonce = Uuid::from_u128(fastrand::u128(..));
    let fetched = fetch(session, queue, worker, nonce).await?;
    if fetched.len() != 2 || !fetched.iter().any(|(id, _)| *id == first) {
        let what = format!("2 jobs were stored and a fetch gives {}", fetched.len());
        return Err(wrong(what, "look for triggers, rules and policies on `jobs`, `ready` and `claims`"));
    }
    let (ids, run_ats): (Vec<Uuid>, Vec<i64>) = fetched.into_iter().unzip();
    if finish(session, nonce, &ids, &run_ats).await? != 1 {
        return Err(wrong(
            "the end of runs is not accepted",
            "look for triggers, rules and policies on `claims`",
        ));
    }
    session.execute(sql!("erase"), &[&ids]).await.map_err(at("erase"))
}

/// Stores a job as a program of this library does.
async fn store(session: &mut Session, id: Uuid, queue: i32) -> Result<(), Why> {
    let none: Option<i64> = None;
    let (texts, numbers) = (Vec::<Option<String>>::new(), Vec::<Option<i64>>::new());
    let held = Vec::<Option<bool>>::new();
    session
        .execute(
            sql!("store_jobs"),
            &[
                &none,
                &vec![id],
                &vec![queue],
                &vec![0_i16],
                &vec![KIND],
                &vec![1_i32],
                &vec![&b"{}"[..]],
                &texts,
                &numbers,
                &numbers,
                &held,
                &vec![queue],
            ],
        )
        .await
        .map_err(at("store_jobs"))
}

/// Ids and run_ats of what a fetch gives.
async fn fetch(
    session: &mut Session,
    queue: i32,
    worker: Uuid,
    nonce: Uuid,
) -> Result<Vec<(Uuid, i64)>, Why> {
    let none: Option<i64> = None;
    let rows = session
        .query(
            sql!("fetch"),
            &[
                &none,
                &worker,
                &1_i64,
                &vec![queue],
                &vec![2_i64],
                &vec![nonce],
                &vec![1_i32],
                &vec![1_i32],
                &vec![0_i16],
                &vec![i64::MIN],
                &vec![Uuid::nil()],
                &vec![i64::MAX],
                &vec![Uuid::max()],
                &Vec::<i32>::new(),
                &fastrand::i64(..),
                &i64::MAX,
            ],
        )
        .await
        .map_err(at("fetch"))?;
    let failed = |error: tokio_postgres::Error| Why::Failed("fetch", error.into());
    for row in &rows {
        if row.try_get::<_, Option<i32>>(0).map_err(failed)?.is_some() {
            let run_ats: Vec<i64> = row.try_get(2).map_err(failed)?;
            let ids: Vec<Uuid> = row.try_get(11).map_err(failed)?;
            return Ok(ids.into_iter().zip(run_ats).collect());
        }
    }
    Ok(Vec::new())
}

/// Of how many claims the end is accepted.
async fn finish(session: &mut Session, nonce: Uuid, ids: &[Uuid], run_ats: &[i64]) -> Result<usize, Why> {
    let none: Option<i64> = None;
    let (ones, count) = (Vec::<i32>::new(), i32::try_from(ids.len()).unwrap_or(0));
    let starts = vec![-1_i64; ids.len()];
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 11] = [
        &none,
        &i64::MAX,
        &vec![nonce],
        &vec![count],
        &vec![count],
        &vec![member::short_token(nonce)],
        &ids,
        &ones,
        &ones,
        &run_ats,
        &starts,
    ];
    Ok(session.query(sql!("finish"), &params).await.map_err(at("finish"))?.len())
}

async fn partition(session: &mut Session) -> Result<(), Why> {
    session.execute(sql!("lock_logs_default"), &[]).await.map_err(at("lock"))?;
    let row = session.query_one(sql!("probe_partition"), &[&SPAN.0, &SPAN.1]).await;
    let row = row.map_err(at("make_partition, drop_partition"))?;
    let made: String = row.try_get(0).map_err(|error| Why::Failed("make_partition", error.into()))?;
    match made.as_str() {
        "made" => Ok(()),
        "enough" => Err(Why::Left("there are as many as there may be".to_owned())),
        "large" => Err(Why::Left("the DEFAULT partition of `logs` is large, and would be locked".to_owned())),
        other => Err(Why::Left(format!("the function answers `{other}`"))),
    }
}

async fn numbers(session: &mut Session) -> Result<(), Why> {
    session.execute(sql!("fold_tallies"), &[&0_i64, &100_i64]).await.map_err(at("fold_tallies"))
}
