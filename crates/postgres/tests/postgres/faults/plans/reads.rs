//! What a call reads does not grow with what is stored, however its statements reach the server: prepared on
//! connections of the backend's, unnamed behind a pooler, or in a transaction of the caller's with the
//! settings it has.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::Bytes;
use gristmill_core::{
    Backend, Call, Change, ClaimId, Committed, EnqueueRequest, Expect, FetchedJob, FinishItem, JobFilter,
    JobId, JobState, ListRequest, Register, RegisterQuery, RegisterSelect, RenewRequest, RunError, Stamp,
    Timestamp, UniqueKey, VerbRequest, WorkerId,
};
use gristmill_postgres::Postgres;
use gristmill_testkit::block_on;
use gristmill_testserver::Postgres as Server;

use super::super::site::{Raw, Site, finish, until};
use super::{fill, without_vacuum};
use crate::fixture::{complete, fetch, name, register, runtime};

/// A twentieth of them are in the smallest of the tables that must not be read as a whole.
const JOBS: usize = 100_000;
/// What a step of ten jobs or twenty may read of a table or a partition.
const MOST: u64 = 3_000;
/// A round of pruning reads of each partition as much as tells whether it goes as a whole.
const MOST_PRUNED: u64 = 12_000;

/// Rows of each table that were read, and entries of its indexes.
type Reads = BTreeMap<String, u64>;

fn reads(raw: &Raw, counts: &str) -> Reads {
    let lines = raw.value(counts);
    let read = lines.lines().filter_map(|line| line.rsplit_once(' '));
    read.map(|(table, count)| (table.to_owned(), count.parse().expect("it is a number"))).collect()
}

/// Handles of one kind on a store of its own database.
struct Reader<'s> {
    site: &'s Site,
    raw: &'s Raw,
    url: String,
    when: String,
    /// What was read too much.
    wrong: RefCell<String>,
}

impl Reader<'_> {
    /// What has been read by sessions that have ended: a session that idles may keep its numbers to itself.
    fn reads(&self) -> Reads {
        let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
            AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
        until("the sessions have ended", || self.raw.value(others) == "0");
        let counts = "SELECT relname || ' ' || coalesce(seq_tup_read, 0) + greatest(coalesce(idx_tup_fetch, 0),
                coalesce((SELECT sum(idx_tup_read) FROM pg_stat_user_indexes AS own WHERE own.relid = all_of.relid), 0))
            FROM pg_stat_user_tables AS all_of";
        reads(self.raw, counts)
    }

    fn note_many(&self, step: &str, most: u64, before: &Reads, after: &Reads) {
        for (table, count) in after {
            let read = count - before.get(table).unwrap_or(&0);
            if read > most {
                let when = &self.when;
                let _ = writeln!(
                    self.wrong.borrow_mut(),
                    "{step} reads {read} rows or entries of {table} {when}"
                );
            }
        }
    }

    fn step<T>(&self, name: &str, most: u64, act: impl FnOnce(&Postgres) -> T) -> T {
        let before = self.reads();
        let backend = self.site.open_at(&self.url);
        let answer = act(&backend);
        drop(backend);
        self.note_many(name, most, &before, &self.reads());
        answer
    }

    fn ids(&self, from: &str) -> Vec<JobId> {
        let ids = self.raw.value(&format!("SELECT id FROM {{schema}}.{from} LIMIT 10"));
        ids.lines().map(|id| id.parse().expect("it is an id")).collect()
    }

    /// All that a worker does.
    fn work(&self) {
        let worker = self.step("a registration", MOST, register);
        let mut jobs = self.site.jobs(10);
        jobs[0].spec.unique_key = Some(UniqueKey::new(jobs[0].id.to_string()).expect("a key"));
        for name in ["an enqueue", "an enqueue again"] {
            let request = EnqueueRequest::new(jobs.clone());
            self.step(name, MOST, |backend| block_on(backend.enqueue(Call::new(), request)))
                .expect("they are stored");
        }
        let leased = self.step("a fetch", MOST, |backend| fetch(backend, worker, 1, 20));
        let again = self.step("a fetch again", MOST, |backend| fetch(backend, worker, 1, 20));
        assert_eq!((leased.len(), again.len()), (20, 20));
        let renewal = RenewRequest::new(worker, vec![ClaimId(1)]);
        self.step("a renewal", MOST, |backend| block_on(backend.renew(Call::new(), renewal)))
            .expect("it lives");
        self.end(worker, leased);
        self.step("a promotion", MOST, |backend| block_on(backend.promote(Call::new(), 20)))
            .expect("it promotes");
        self.step("a rescue", MOST, |backend| block_on(backend.rescue(Call::new(), 20))).expect("it rescues");
        // By the store's own clock the partitions would be dropped.
        let now = Call::at(Timestamp::from_millis(1_900_000_000_000));
        let pruned = self.step("a prune", MOST_PRUNED, |backend| block_on(backend.prune(now, 100)));
        assert_eq!(pruned.expect("it prunes").done, 100);
    }

    fn end(&self, worker: WorkerId, mut leased: Vec<FetchedJob>) {
        let rest = leased.split_off(10);
        self.step("a finish", MOST, |backend| complete(backend, leased));
        self.step("ends of all kinds", MOST, |backend| {
            for (place, job) in rest.into_iter().enumerate() {
                let mut item = match place % 2 {
                    0 => FinishItem::fail(job.lease, std::time::Duration::ZERO, RunError::new("no")),
                    _ => FinishItem::complete(job.lease),
                };
                item.reason = Some("said".to_owned());
                finish(backend, item);
            }
        });
        self.step("a handler's transaction", MOST, |backend| {
            let lease = fetch(backend, worker, 2, 1).remove(0).lease;
            let tx = block_on(backend.begin(Call::new(), lease.clone())).expect("it begins");
            block_on(tx.finish(Call::new(), FinishItem::complete(lease))).expect("it ends");
        });
    }

    /// All that is done with registers.
    fn agree(&self) {
        let space = || name("x.space");
        let listed = |select: RegisterSelect| {
            move |backend: &Postgres| {
                let query = RegisterQuery::new(space(), select).limit(10);
                block_on(backend.list_registers(Call::new(), query)).expect("they are listed")
            }
        };
        let due = RegisterSelect::DueBefore(Timestamp::from_millis(1_900_000_000_000));
        self.step("a page of registers by due time", MOST, listed(due));
        let prefix = RegisterSelect::Prefix("99".into());
        self.step("a page of registers of a prefix", MOST, listed(prefix));
        let page = self.step("a page of registers", MOST, listed(RegisterSelect::All));
        let keys: Vec<Bytes> = page.items.iter().map(|(key, _)| key.clone()).collect();
        assert_eq!(keys.len(), 10);
        self.step("registers of keys", MOST, listed(RegisterSelect::Keys(keys)));
        let put = || Register::new(r#"{"v":1}"#);
        let stands = page
            .items
            .into_iter()
            .map(|(key, register)| Change::new(space(), key, Expect::Stamp(register.stamp), put()));
        let absent =
            (0..10).map(|_| Change::new(space(), Stamp::random().to_string(), Expect::Absent, put()));
        let mut changes: Vec<Change> = stands.chain(absent).collect();
        changes[0].effects.jobs = self.site.jobs(1);
        let answers = self.step("a commit", MOST, |backend| block_on(backend.commit(Call::new(), changes)));
        let answers = answers.expect("it is answered");
        assert!(answers.iter().all(|answer| matches!(answer, Committed::Done(_))), "{answers:?}");
    }

    /// All that an operator does.
    fn operate(&self) {
        let some = |from| VerbRequest::ids(self.ids(from));
        for from in ["ready", "waiting", "ended", "attempts"] {
            let of = |what: &str| format!("{what} of {from}");
            let ids = self.ids(from);
            let found = self.step(&of("a look"), MOST, |backend| block_on(backend.get(Call::new(), ids)));
            assert_eq!(found.expect("it looks").len(), 10);
            let (cancel, retry, delete) = (some(from), some(from), some(from));
            self.step(&of("a cancel"), MOST, |backend| block_on(backend.cancel(Call::new(), cancel)))
                .expect("it cancels");
            self.step(&of("a retry"), MOST, |backend| block_on(backend.retry(Call::new(), retry)))
                .expect("it retries");
            self.step(&of("a delete"), MOST, |backend| block_on(backend.delete(Call::new(), delete)))
                .expect("it deletes");
        }
        for state in [JobState::Available, JobState::Scheduled, JobState::Completed, JobState::Discarded] {
            let request = ListRequest::new(JobFilter::new().state(state));
            let page = self
                .step("a list", MOST, |backend| block_on(backend.list(Call::new(), request)))
                .expect("it lists");
            assert_eq!(page.items.len(), 50);
        }
    }

    /// The same in a user's transaction, which has no settings of ours.
    fn lend(&self) {
        let (ready, backend) = (self.ids("ready"), self.site.open_at(&self.url));
        let own = tokio_postgres::connect(&self.site.url, tokio_postgres::NoTls);
        let counts = "SELECT relname, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)
            FROM pg_stat_xact_user_tables";
        let rows = runtime().block_on(async {
            let (mut client, connection) = own.await.expect("it connects");
            tokio::spawn(connection);
            let tx = client.transaction().await.expect("it begins");
            let mut jobs = self.site.jobs(10);
            jobs[0].spec.unique_key = Some(UniqueKey::new(jobs[0].id.to_string()).expect("a key"));
            let (fresh, twice) = (jobs.clone(), jobs);
            backend.enqueue_prepared_in(&tx, fresh).await.expect("they are stored");
            backend.enqueue_prepared_in(&tx, twice).await.expect("they are there");
            for id in ready {
                backend.cancel_in(&tx, id).await.expect("it is requested");
            }
            let rows = tx.query(counts, &[]).await.expect("it counts");
            tx.commit().await.expect("it commits");
            rows
        });
        let read = rows.iter().map(|row| {
            let count: i64 = row.get(1);
            (row.get(0), u64::try_from(count).expect("it is a number"))
        });
        self.note_many("a caller's transaction", MOST, &Reads::new(), &read.collect());
    }
}

/// What is read too much, a line each.
fn wrong(site: &Site, raw: &Raw, when: &str) -> String {
    let mut wrong = String::new();
    let mark = if site.url.contains('?') { '&' } else { '?' };
    for (url, mode) in [
        (site.url.clone(), "on connections of its own"),
        (format!("{}{mark}pooler=transaction", site.url), "behind a pooler"),
    ] {
        let reader = Reader { site, raw, url, when: format!("{mode} {when}"), wrong: RefCell::default() };
        reader.work();
        reader.agree();
        reader.operate();
        reader.lend();
        wrong.push_str(&reader.wrong.into_inner());
    }
    wrong
}

#[test]
fn no_call_reads_more_of_a_table_that_has_grown() {
    let site = Site::at(&Server::shared().fresh_database());
    let raw = site.raw();
    raw.run("ANALYZE");
    // What these connections read is counted when they end.
    let filling = site.raw();
    fill(&filling, JOBS);
    without_vacuum(&filling);
    drop(filling);
    let mut found = wrong(&site, &raw, "with the statistics of an empty store");
    // The numbers of rows are kept, whatever becomes of the transaction.
    site.raw().run(
        "BEGIN; DELETE FROM {schema}.ready; DELETE FROM {schema}.waiting; DELETE FROM {schema}.ended;
            DELETE FROM {schema}.uniques; DELETE FROM {schema}.events; DELETE FROM {schema}.expiries;
            DELETE FROM {schema}.jobs; DELETE FROM {schema}.attempts; DELETE FROM {schema}.claims;
            DELETE FROM {schema}.registers; ANALYZE; ROLLBACK",
    );
    found += &wrong(&site, &raw, "with the statistics of a moment in which all rows were dead");
    site.raw().run("ANALYZE");
    found += &wrong(&site, &raw, "with its statistics");
    assert!(found.is_empty(), "\n{found}");
}
