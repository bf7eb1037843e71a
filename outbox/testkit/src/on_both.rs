//! What holds on every database.

use std::time::Duration;

use gristmill::{ExistingBy, JobExt as _, JobPatch, JobState, Priority};
use gristmill_core::{
    Args, BackendErrorKind, Certainty, Enqueued, ErrorKind, JobSpec, Name, NewJob, RetryPolicy, When,
};
use gristmill_outbox::{Outbox, OutboxFilter};

use crate::adapter::{Adapter, committed, rolled_back};
use crate::{Letter, Site, runtime};

/// A row of the user's and its job: neither is left by a rollback.
pub fn a_transaction_that_is_rolled_back_leaves_no_job<A: Adapter>(site: &Site) {
    let mut adapter = A::connect(&site.url);
    let id = rolled_back(&mut adapter, |tx| {
        tx.execute(&site.insert(1)).expect("a row");
        tx.enqueue(&site.outbox, Letter::new(1)).expect("it is enqueued").id
    });
    assert_eq!((site.rows(), site.jobs(), site.job(id)), (0, 0, None));
}

/// A row of the user's and its job: both are there after the commit, not before.
pub fn a_transaction_that_commits_leaves_its_job_as_it_was_enqueued<A: Adapter>(site: &Site) {
    let mut adapter = A::connect(&site.url);
    let letter = Letter::new(7).queue("post").priority(-3).max_attempts(5).unique_key("clé 7").tag("t");
    let letter = letter.metadata("tenant", "acme").timeout(Duration::from_millis(1_500));
    let id = committed(&mut adapter, |tx| {
        tx.execute(&site.insert(1)).expect("a row");
        let receipt = tx.enqueue(&site.outbox, letter.clone()).expect("it is enqueued");
        assert_eq!((receipt.enqueued, site.jobs()), (Enqueued::Created, 0));
        receipt.id
    });
    assert_eq!((site.rows(), site.jobs()), (1, 1));
    let job = site.job(id).expect("it is there");
    assert_eq!((job.id, job.state, job.attempt), (id, JobState::Available, 0));
    assert_eq!(job.spec, letter.prepare(id).expect("it is valid").spec);
}

/// The times that a job can be enqueued for.
pub fn a_job_waits_for_its_time_by_the_stores_clock<A: Adapter>(site: &Site) {
    let mut adapter = A::connect(&site.url);
    let hour = Duration::from_secs(3_600);
    let at = gristmill::Timestamp::from_millis(4_102_444_800_000);
    let receipts = committed(&mut adapter, |tx| {
        let jobs = vec![
            Letter::new(1).delay(hour),
            Letter::new(2).run_at(at),
            Letter::new(3).suspended(),
            Letter::new(4).run_at(gristmill::Timestamp::from_millis(1)),
        ];
        tx.enqueue_many(&site.outbox, jobs).expect("they are enqueued")
    });
    let jobs: Vec<_> = receipts.iter().map(|receipt| site.job(receipt.id).expect("it is there")).collect();
    let states: Vec<_> = jobs.iter().map(|job| job.state).collect();
    let wanted = [JobState::Scheduled, JobState::Scheduled, JobState::Suspended, JobState::Available];
    assert_eq!(states, wanted);
    assert_eq!(jobs[0].run_at, jobs[0].created_at + hour);
    assert_eq!(jobs[1].run_at, at);
}

/// A duplicate, by key or by id, is an answer, and what follows it is committed.
pub fn a_duplicate_is_an_answer_and_the_transaction_commits<A: Adapter>(site: &Site) {
    let mut adapter = A::connect(&site.url);
    let key = |number| Letter::new(number).unique_key("the one");
    let first = committed(&mut adapter, |tx| tx.enqueue(&site.outbox, key(1)).expect("it is enqueued"));
    assert_eq!(first.enqueued, Enqueued::Created);
    let prepared = site.outbox.prepare(Letter::new(3)).expect("it is valid");
    committed(&mut adapter, |tx| {
        let again = tx.enqueue(&site.outbox, key(2)).expect("it is answered");
        assert_eq!(again.enqueued, Enqueued::Existing { id: first.id, by: ExistingBy::UniqueKey });
        assert_eq!(again.id, first.id);
        let twice = [prepared.clone(), prepared.clone()];
        let receipts = tx.enqueue_prepared(&site.outbox, &twice).expect("they are answered");
        assert_eq!(receipts[0].enqueued, Enqueued::Created);
        assert_eq!(receipts[1].enqueued, Enqueued::Existing { id: prepared.id, by: ExistingBy::Id });
        tx.execute(&site.insert(1)).expect("the transaction goes on");
    });
    assert_eq!((site.rows(), site.jobs()), (1, 2));
}

/// More than one statement takes, with duplicates among them; answered one by one, in their order.
pub fn many_jobs_are_answered_in_their_order<A: Adapter>(site: &Site) {
    let mut adapter = A::connect(&site.url);
    let letters = || {
        (0..2_100).map(|number| match number % 300 {
            299 => Letter::new(number).unique_key("one of 300"),
            _ => Letter::new(number).into(),
        })
    };
    let receipts = committed(&mut adapter, |tx| {
        tx.enqueue_many(&site.outbox, letters().collect()).expect("they are enqueued")
    });
    let holder = receipts[299].id;
    for (place, receipt) in receipts.iter().enumerate() {
        let wanted = match place % 300 {
            299 if place > 299 => Enqueued::Existing { id: holder, by: ExistingBy::UniqueKey },
            _ => Enqueued::Created,
        };
        assert_eq!(receipt.enqueued, wanted, "job {place}");
    }
    assert_eq!(site.jobs(), 2_100 - 6);
    for place in [0, 999, 1_000, 2_098] {
        let job = site.job(receipts[place].id).expect("it is there");
        let letter: Letter = job.spec.args.decode().expect("it decodes");
        assert_eq!(usize::try_from(letter.number), Ok(place));
    }
}

/// Where no transaction has begun, the statement is one.
pub fn outside_of_a_transaction_a_job_is_stored_at_once<A: Adapter>(site: &Site) {
    let mut adapter = A::connect(&site.url);
    let session: &mut dyn crate::Session = &mut adapter;
    let receipt = session.enqueue(&site.outbox, Letter::new(1)).expect("it is enqueued");
    assert_eq!(site.job(receipt.id).map(|job| job.state), Some(JobState::Available));
}

/// A savepoint takes back what was enqueued behind it, and the unique key with it.
pub fn a_savepoint_that_is_rolled_back_takes_its_jobs_with_it<A: Adapter>(site: &Site) {
    let mut adapter = A::connect(&site.url);
    let (before, inside, after) = committed(&mut adapter, |tx| {
        let enqueue = |tx: &mut dyn crate::Session, number, key: &str| {
            let receipt = tx.enqueue(&site.outbox, Letter::new(number).unique_key(key));
            receipt.expect("it is enqueued")
        };
        let before = enqueue(tx, 1, "before");
        tx.execute("SAVEPOINT here").expect("a savepoint");
        let inside = enqueue(tx, 2, "inside");
        tx.execute("ROLLBACK TO SAVEPOINT here").expect("it is rolled back");
        (before, inside, enqueue(tx, 3, "inside"))
    });
    assert!(before.is_new() && inside.is_new() && after.is_new(), "{before:?} {inside:?} {after:?}");
    assert!(site.job(before.id).is_some() && site.job(after.id).is_some());
    assert_eq!((site.job(inside.id), site.jobs()), (None, 2));
}

/// Jobs that were changed after they were checked, each against another rule.
fn broken_jobs(site: &Site) -> Vec<NewJob> {
    let changes: [fn(&mut JobSpec); 6] = [
        |spec| spec.args = Args::from_stored(vec![b'"', 0xff, b'"']),
        |spec| spec.args = Args::from_stored("[".repeat(31) + &"]".repeat(31)),
        |spec| spec.timeout = Some(Duration::from_micros(999)),
        |spec| spec.tags = vec![Name::new("tag").expect("it is a name"); 33],
        |spec| spec.metadata.insert("text", "x".repeat(65_536)),
        |spec| {
            let moment = Duration::from_secs(1);
            spec.retry = Some(Box::new(RetryPolicy::exponential(moment, f64::INFINITY, moment)));
        },
    ];
    let broken = changes.map(|change| {
        let mut job = site.outbox.prepare(Letter::new(3)).expect("it is valid");
        change(&mut job.spec);
        job
    });
    broken.into()
}

/// Nothing is sent of a job that the rules refuse, nor of those beside it, and the transaction goes on.
pub fn what_the_rules_refuse_is_not_sent_and_the_transaction_goes_on<A: Adapter>(site: &Site) {
    let mut adapter = A::connect(&site.url);
    let nul = Letter { text: "a\0b".to_owned(), ..Letter::new(1) };
    let large = Letter { text: "x".repeat(gristmill_core::MAX_ARGS_BYTES), ..Letter::new(2) };
    let broken = broken_jobs(site);
    let whole = site.outbox.prepare(Letter::new(4)).expect("it is valid");
    committed(&mut adapter, |tx| {
        for job in broken {
            let refused = tx.enqueue_prepared(&site.outbox, &[whole.clone(), job]);
            let error = refused.expect_err("the rules refuse it");
            assert_eq!((error.kind(), error.certainty()), (ErrorKind::Invalid, Certainty::NotStored));
        }
        let refused = [
            tx.enqueue(&site.outbox, nul.clone()).map(|_| ()),
            tx.enqueue(&site.outbox, large).map(|_| ()),
            tx.enqueue(&site.outbox, Letter::new(5).unique_key("")).map(|_| ()),
            tx.enqueue(&site.outbox, Letter::new(6).queue("no queue").priority(99)).map(|_| ()),
            tx.enqueue_many(&site.outbox, vec![Letter::new(7).into(), nul.into()]).map(|_| ()),
        ];
        for refused in refused {
            let error = refused.expect_err("the rules refuse it");
            assert_eq!((error.kind(), error.certainty()), (ErrorKind::Invalid, Certainty::NotStored));
        }
        tx.enqueue(&site.outbox, Letter::new(8)).expect("the transaction goes on");
    });
    assert_eq!(site.jobs(), 1);
}

/// The protocol that the adapter sends and those that are accepted are named, and nothing is changed.
pub fn a_protocol_that_is_not_accepted_is_an_error_that_names_it<A: Adapter>(site: &Site) {
    let mut adapter = A::connect(&site.url);
    let id =
        committed(&mut adapter, |tx| tx.enqueue(&site.outbox, Letter::new(1)).expect("it is enqueued").id);
    site.execute(&site.newer_protocols());
    let (mut errors, patch) = (Vec::new(), JobPatch::default());
    rolled_back(&mut adapter, |tx| {
        errors.push(tx.enqueue(&site.outbox, Letter::new(2)).expect_err("it is refused"));
        errors.push(tx.enqueue(&site.outbox, Letter::new(2).unique_key("k")).expect_err("it is refused"));
        errors.push(tx.cancel(&site.outbox, id).expect_err("it is refused"));
        errors.push(tx.update(&site.outbox, id, patch.clone()).expect_err("it is refused"));
        errors.push(tx.delete(&site.outbox, id).expect_err("it is refused"));
        errors.push(tx.get(&site.outbox, id).expect_err("it is refused"));
        errors.push(tx.list(&site.outbox, OutboxFilter::new()).expect_err("it is refused"));
        tx.execute(&site.insert(1)).expect("the transaction goes on");
    });
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Backend(BackendErrorKind::SchemaNew), "{error}");
        let message = error.to_string();
        assert!(message.contains("4711 to 4712") && message.contains("sends 2"), "{message}");
    }
}

/// No schema, or one from before the outbox.
pub fn a_store_without_an_outbox_is_an_error_with_the_remedy<A: Adapter>(site: &Site) {
    let (url, outbox) = site.without_outbox();
    let mut adapter = A::connect(&url);
    let error =
        rolled_back(&mut adapter, |tx| tx.enqueue(&outbox, Letter::new(1)).expect_err("it is refused"));
    assert_eq!(error.kind(), ErrorKind::Backend(BackendErrorKind::SchemaOld), "{error}");
    assert!(error.to_string().contains("has no outbox"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("gristmill migrate")), "{:?}", error.hint());
}

/// The outbox of one database on a connection to another.
pub fn an_outbox_of_another_database_is_refused_before_anything_is_sent<A: Adapter>(site: &Site) {
    let mut adapter = A::connect(&site.url);
    let wrong = if site.is_sqlite() { Outbox::postgres() } else { Outbox::sqlite() };
    committed(&mut adapter, |tx| {
        let error = tx.enqueue(&wrong, Letter::new(1)).expect_err("it is refused");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        tx.enqueue(&site.outbox, Letter::new(2)).expect("the transaction goes on");
    });
    assert_eq!(site.jobs(), 1);
}

/// What must stay goes through the client, which has a connection of its own; what goes through the adapter
/// does not stay.
pub fn a_detached_job_stays_where_the_transaction_is_rolled_back<A: Adapter>(site: &Site) {
    let mut adapter = A::connect(&site.url);
    let (detached, attached) = rolled_back(&mut adapter, |tx| {
        // First, since SQLite has one writer at a time.
        let detached = runtime().block_on(site.client.enqueue(Letter::new(1))).expect("it is stored");
        (detached.id, tx.enqueue(&site.outbox, Letter::new(2)).expect("it is enqueued").id)
    });
    assert!(site.job(detached).is_some());
    assert_eq!(site.job(attached), None);
}

/// A transaction sees its own jobs. What it requests for jobs, its own and others', is applied after its
/// commit, in the order of the requests.
pub fn requests_of_a_transaction_are_applied_after_its_commit<A: Adapter>(site: &Site) {
    let mut adapter = A::connect(&site.url);
    let [first, second, third, unknown] =
        [1, 2, 3, 4].map(|n| site.outbox.prepare(Letter::new(n)).expect("it is valid"));
    let mut patch = JobPatch::default();
    patch.args = Some(Args::encode(&Letter::new(99)).expect("it encodes"));
    patch.priority = Some(Priority::FIRST);
    patch.max_attempts = std::num::NonZeroU16::new(3);
    patch.when = Some(When::After(Duration::from_secs(600)));
    committed(&mut adapter, |tx| {
        let jobs = [first.clone(), second.clone(), third.clone()];
        tx.enqueue_prepared(&site.outbox, &jobs).expect("they are enqueued");
        let seen = tx.get(&site.outbox, first.id).expect("it is answered").expect("it is there");
        assert_eq!((seen.state, &seen.spec, seen.attempt), (JobState::Available, &first.spec, 0));
        let requests = [
            tx.update(&site.outbox, first.id, patch.clone()).expect("it is stored"),
            tx.cancel(&site.outbox, second.id).expect("it is stored"),
            tx.delete(&site.outbox, third.id).expect("it is stored"),
            tx.cancel(&site.outbox, unknown.id).expect("it is stored"),
        ];
        assert!(requests.windows(2).all(|pair| pair[0].request < pair[1].request), "{requests:?}");
        assert!(tx.get(&site.outbox, unknown.id).expect("it is answered").is_none());
        let seen = tx.get(&site.outbox, second.id).expect("it is answered").expect("it is there");
        assert_eq!(seen.state, JobState::Available);
    });
    assert_eq!(site.job(second.id).map(|job| job.state), Some(JobState::Available));
    site.apply();
    let changed = site.job(first.id).expect("it is there");
    assert_eq!(changed.state, JobState::Scheduled);
    assert_eq!(changed.spec.args.decode::<Letter>().expect("it decodes"), Letter::new(99));
    assert_eq!((changed.spec.priority, changed.spec.max_attempts.get()), (Priority::FIRST, 3));
    assert_eq!(site.job(second.id).map(|job| job.state), Some(JobState::Cancelled));
    assert_eq!((site.job(third.id), site.jobs()), (None, 2));
    rolled_back(&mut adapter, |tx| {
        tx.cancel(&site.outbox, first.id).expect("it is stored");
        tx.delete(&site.outbox, second.id).expect("it is stored");
    });
    site.apply();
    assert_eq!(site.job(first.id).map(|job| job.state), Some(JobState::Scheduled));
    assert_eq!(site.jobs(), 2);
}

/// What a job does not allow when its request is applied is an event of it, with the actor.
pub fn a_request_that_is_refused_is_an_event_of_its_job<A: Adapter>(site: &Site) {
    let mut adapter = A::connect(&site.url);
    let outbox = site.outbox.clone().actor("shop");
    let id = committed(&mut adapter, |tx| {
        let id = tx.enqueue(&outbox, Letter::new(1)).expect("it is enqueued").id;
        tx.cancel(&outbox, id).expect("it is stored");
        tx.update(&outbox, id, JobPatch::default()).expect("it is stored");
        id
    });
    site.apply();
    let wanted = ["cancel", "request refused"].map(|what| (what.to_owned(), Some("shop".to_owned())));
    assert_eq!(site.events(id), wanted);
}

/// A patch is checked before it is sent, and the transaction goes on.
pub fn a_patch_that_the_rules_refuse_is_not_sent<A: Adapter>(site: &Site) {
    let mut adapter = A::connect(&site.url);
    let mut patch = JobPatch::default();
    patch.args = Some(Args::from_stored(&b"\"\\u0000\""[..]));
    committed(&mut adapter, |tx| {
        let id = tx.enqueue(&site.outbox, Letter::new(1)).expect("it is enqueued").id;
        let error = tx.update(&site.outbox, id, patch).expect_err("the rules refuse it");
        assert_eq!((error.kind(), error.certainty()), (ErrorKind::Invalid, Certainty::NotStored));
        tx.enqueue(&site.outbox, Letter::new(2)).expect("the transaction goes on");
    });
    assert_eq!(site.jobs(), 2);
}

/// The newest jobs first, its own ones, too; by queue, kind and state, and at most as many as are wanted.
pub fn a_list_shows_the_newest_jobs_as_the_transaction_sees_them<A: Adapter>(site: &Site) {
    let mut adapter = A::connect(&site.url);
    let filter = OutboxFilter::new;
    let name = |text: &str| Name::new(text).expect("it is a name");
    committed(&mut adapter, |tx| {
        let letters = vec![Letter::new(1).queue("post"), Letter::new(2).suspended(), Letter::new(3).into()];
        let ids: Vec<_> = tx
            .enqueue_many(&site.outbox, letters)
            .expect("they are enqueued")
            .iter()
            .map(|one| one.id)
            .collect();
        let mut list = |filter| {
            let page = tx.list(&site.outbox, filter).expect("it is answered");
            (page.jobs.iter().map(|job| job.id).collect::<Vec<_>>(), page.more)
        };
        assert_eq!(list(filter()), (vec![ids[2], ids[1], ids[0]], false));
        assert_eq!(list(filter().limit(2)), (vec![ids[2], ids[1]], true));
        assert_eq!(list(filter().queue(name("post"))), (vec![ids[0]], false));
        assert_eq!(list(filter().state(JobState::Suspended)), (vec![ids[1]], false));
        assert_eq!(list(filter().kind(name("other"))), (vec![], false));
        assert_eq!(list(filter().queue(name("none"))), (vec![], false));
        let page = tx.list(&site.outbox, filter().limit(1)).expect("it is answered");
        let job = tx.get(&site.outbox, ids[2]).expect("it is answered");
        assert_eq!(page.jobs.first(), job.as_deref());
    });
}
