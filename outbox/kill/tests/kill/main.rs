//! Clients and their server are killed at any moment, and a row is there if and only if its jobs are.

mod account;
mod crowd;
mod work;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use gristmill::{Client, JobFilter, JobState, ListRequest, MigrateMode, Order, Postgres, Sqlite};
use gristmill_outbox_kill::Ship;
use gristmill_testserver::Postgres as Server;
use sqlx::{Connection as _, PgConnection, SqliteConnection};
use tokio::runtime::Runtime;

use crate::account::Account;
use crate::crowd::Crowd;
use crate::work::Work;

/// How long a wait may take.
const PATIENCE: Duration = Duration::from_mins(2);
const TABLE: &str = "CREATE TABLE orders (number bigint PRIMARY KEY, parts bigint NOT NULL)";
const ROWS: &str = "SELECT number, parts FROM orders";

/// Either run has the machine for itself.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn of_a_thousand_transactions_killed_with_their_clients_or_server_each_has_its_row_if_and_only_if_its_jobs() {
    const CUT: u32 = 1_000;
    const SERVER_KILLS: u32 = 10;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let server = Server::builder().durable().start();
    let folder = tempfile::tempdir().expect("a folder is made");
    let runtime = Runtime::new().expect("a runtime starts");
    let client = {
        let _inside = runtime.enter();
        let backend = Postgres::builder(server.url()).expect("the URL can be read").open();
        Client::new(backend.expect("the settings hold"))
    };
    runtime.block_on(client.migrate(MigrateMode::Up)).expect("the schema is made");
    server.psql(TABLE);
    let work = Work::start(&runtime, client.clone(), server.url());

    let url = format!("{}?application_name=crowd", server.url());
    let mut crowd = Crowd::start(&url, folder.path(), 4, 6, Duration::from_millis(20));
    let mut account = Account::default();
    let mut server_kills = 0;
    while account.cut() < CUT || server_kills < SERVER_KILLS {
        wait_a_moment(Duration::from_millis(70));
        if account.cut() * SERVER_KILLS > (server_kills * 2 + 1) * CUT / 2 {
            server.kill();
            server.start_again();
            server_kills += 1;
        }
        crowd.kill_one(&mut account);
    }
    crowd.finish(&mut account);
    // The server may still be at work for clients that were killed.
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'crowd'";
    wait_until("the sessions of the clients to end", || server.psql(sessions) == "0");
    wait_until("all jobs to end", || {
        let completed = runtime.block_on(client.count(JobFilter::new().state(JobState::Completed), None));
        let all = runtime.block_on(client.count(JobFilter::new(), None));
        completed.expect("they are counted").value == all.expect("they are counted").value
    });
    let (runs, without_row) = work.stop(&runtime);

    let rows = runtime.block_on(async {
        let mut connection = PgConnection::connect(server.url()).await?;
        sqlx::query_as(ROWS).fetch_all(&mut connection).await
    });
    let rows = by_number(rows.expect("the rows are read"));
    let jobs = runtime.block_on(jobs(&client));
    eprintln!(
        "kill test (postgres): {account}; {} clients killed, server killed {server_kills} times; {} rows, {} jobs, \
         {runs} runs",
        crowd.kills,
        rows.len(),
        jobs.values().map(Vec::len).sum::<usize>()
    );
    account.check(&rows, &jobs);
    assert!(without_row.is_empty(), "jobs of {without_row:?} ran without their rows");
}

#[test]
fn of_a_thousand_transactions_in_a_file_killed_with_their_clients_each_has_its_row_if_and_only_if_its_jobs() {
    const CUT: u32 = 1_000;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().expect("a folder is made");
    let path = folder.path().join("jobs.db");
    let backend = Sqlite::builder(&path).migrate(MigrateMode::Up).open().expect("the file is made");
    let client = Client::new(backend);
    let runtime = Runtime::new().expect("a runtime starts");
    let url = path.to_str().expect("the path is a text").to_owned();
    let connection = || runtime.block_on(SqliteConnection::connect(&url)).expect("the file opens");
    runtime.block_on(sqlx::raw_sql(TABLE).execute(&mut connection())).expect("the table is made");

    // One writer at a time: of several clients one is in its transaction, the others wait for theirs.
    let mut crowd = Crowd::start(&url, folder.path(), 2, 1, Duration::from_millis(4));
    let mut account = Account::default();
    while account.cut() < CUT {
        wait_a_moment(Duration::from_millis(50));
        crowd.kill_one(&mut account);
    }
    crowd.finish(&mut account);

    let rows = runtime.block_on(sqlx::query_as(ROWS).fetch_all(&mut connection()));
    let rows = by_number(rows.expect("the rows are read"));
    let jobs = runtime.block_on(jobs(&client));
    eprintln!(
        "kill test (sqlite): {account}; {} clients killed; {} rows, {} jobs",
        crowd.kills,
        rows.len(),
        jobs.values().map(Vec::len).sum::<usize>()
    );
    account.check(&rows, &jobs);
}

fn by_number(rows: Vec<(i64, i64)>) -> BTreeMap<i64, usize> {
    rows.into_iter().map(|(number, parts)| (number, usize::try_from(parts).expect("a count"))).collect()
}

/// The parts that the jobs of each order ship, in ascending order.
async fn jobs(client: &Client) -> BTreeMap<i64, Vec<u32>> {
    let mut jobs: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
    let mut cursor = None;
    loop {
        let request = ListRequest::new(JobFilter::new()).limit(1_000).order(Order::OldestFirst).after(cursor);
        let page = client.list(request).await.expect("the jobs are listed");
        for job in page.items {
            let Ship { number, part } = job.spec.args.decode().expect("the args are ours");
            jobs.entry(number).or_default().push(part);
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    for parts in jobs.values_mut() {
        parts.sort_unstable();
    }
    jobs
}

#[expect(clippy::disallowed_methods, reason = "a kill comes at any moment")]
fn wait_a_moment(longest: Duration) {
    std::thread::sleep(longest.mul_f64(fastrand::f64()));
}

#[expect(
    clippy::disallowed_methods,
    reason = "the fact lies in another process, which can only be asked again"
)]
fn wait_until(fact: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain for {fact}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
