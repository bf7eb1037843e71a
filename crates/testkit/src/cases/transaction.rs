//! A transaction in which a handler writes and its run ends. What drivers write in it is tested with each
//! backend; here it is the end of the run, its effects and what is held meanwhile.

use gristmill_core::{
    BackendErrorKind, BackendTx, Capability, Certainty, ClaimId, Decision, Ending, FetchedJob, FinishItem,
    Finished, JobState, Lease, LostWhy, RunError, Verdict,
};

use crate::case::cases;
use crate::{Fixture, block_on};

cases! { "transaction":
    begin_is_refused_by_a_backend_without_transactions,
    a_transaction_ends_its_run_when_it_commits needs Transactions,
    a_transaction_stores_output_and_effects needs Transactions,
    a_transaction_that_is_rolled_back_leaves_the_run_to_an_ordinary_finish needs Transactions,
    a_transaction_that_is_dropped_leaves_the_run_to_an_ordinary_finish needs Transactions,
    a_transaction_whose_lease_was_rescued_stores_nothing needs Transactions,
    a_transaction_whose_lease_was_given_back_stores_nothing needs Transactions,
    a_transaction_behind_an_ordinary_finish_stores_nothing needs Transactions,
    an_ordinary_finish_behind_a_transaction_is_a_repeat needs Transactions,
    a_transaction_with_a_tampered_lease_stores_nothing needs Transactions,
    a_requested_cancel_wins_over_a_transaction needs Transactions,
    a_transaction_may_end_a_run_in_any_way needs Transactions,
    an_open_transaction_holds_up_nobody_of_its_claim needs Transactions,
    transactions_of_one_claim_end_in_any_order needs Transactions,
    a_finish_past_its_deadline_is_never_stored_later needs Transactions,
}

fn begin(t: &Fixture, lease: &Lease) -> Box<dyn BackendTx> {
    t.must(|backend, call| backend.begin(call, lease.clone()))
}

fn finish(t: &Fixture, tx: Box<dyn BackendTx>, item: FinishItem) -> Finished {
    block_on(tx.finish(t.call(), item)).expect("a transaction ends")
}

fn lost(why: LostWhy) -> Finished {
    Finished::LeaseLost { why }
}

const COMPLETED: Finished = Finished::Accepted { state: JobState::Completed };

/// A leased job, and what completes it with an effect: whether the effect is there says whether the commit
/// happened.
fn leased(t: &Fixture) -> (FetchedJob, FinishItem) {
    t.put(t.job());
    let job = t.take(t.worker());
    let mut item = FinishItem::complete(job.lease.clone());
    item.effects.push(t.job());
    (job, item)
}

#[track_caller]
fn assert_nothing_stored(t: &Fixture, item: &FinishItem) {
    assert!(item.effects.iter().all(|effect| t.find(effect.id).is_none()), "its effects are not stored");
}

fn begin_is_refused_by_a_backend_without_transactions(t: &Fixture) {
    let (job, _) = leased(t);
    let begun = t.ask(|backend, call| backend.begin(call, job.lease.clone()));
    if t.backend().capabilities().has(Capability::Transactions) {
        assert!(begun.is_ok(), "a backend with transactions begins one");
        return;
    }
    let error = begun.expect_err("there is none to begin");
    assert_eq!(error.kind(), BackendErrorKind::Unsupported(Capability::Transactions));
    assert_eq!(error.certainty(), Certainty::NotStored);
}

fn a_transaction_ends_its_run_when_it_commits(t: &Fixture) {
    let (job, item) = leased(t);
    let tx = begin(t, &job.lease);
    assert_eq!(t.state(job.lease.job), JobState::Running);

    assert_eq!(finish(t, tx, item), COMPLETED);

    let record = t.look(job.lease.job);
    assert_eq!((record.state, record.run, record.attempt), (JobState::Completed, 1, 1));
    assert_eq!(t.runs(job.lease.job).iter().map(|run| run.ending).collect::<Vec<_>>(), [Ending::Completed]);
}

fn a_transaction_stores_output_and_effects(t: &Fixture) {
    let (job, mut item) = leased(t);
    item.output = Some(gristmill_core::Output::encode(&7));
    let effect = item.effects[0].id;

    assert_eq!(finish(t, begin(t, &job.lease), item), COMPLETED);

    assert_eq!(t.look(job.lease.job).output.map(|output| output.as_bytes().to_vec()), Some(b"7".to_vec()));
    assert_eq!(t.state(effect), JobState::Available);
}

fn a_transaction_that_is_rolled_back_leaves_the_run_to_an_ordinary_finish(t: &Fixture) {
    let (job, item) = leased(t);

    block_on(begin(t, &job.lease).roll_back(t.call())).expect("it is rolled back");

    assert_eq!(t.state(job.lease.job), JobState::Running);
    assert_nothing_stored(t, &item);
    assert_eq!(t.finish(item), COMPLETED);
}

fn a_transaction_that_is_dropped_leaves_the_run_to_an_ordinary_finish(t: &Fixture) {
    let (job, item) = leased(t);

    drop(begin(t, &job.lease));

    assert_eq!(t.state(job.lease.job), JobState::Running);
    assert_eq!(t.finish(item), COMPLETED);
}

fn a_transaction_whose_lease_was_rescued_stores_nothing(t: &Fixture) {
    let (job, item) = leased(t);
    let tx = begin(t, &job.lease);
    let stale = t.stats().stale_finishes;

    t.crash();
    assert_eq!(t.state(job.lease.job), JobState::Available);
    assert_eq!(finish(t, tx, item.clone()), lost(LostWhy::Rescued));

    assert_eq!(t.state(job.lease.job), JobState::Available);
    assert_nothing_stored(t, &item);
    assert_eq!(t.stats().stale_finishes, stale + 1);
    assert!(t.events(job.lease.job).iter().any(|event| event.what == "stale finish"));
}

fn a_transaction_whose_lease_was_given_back_stores_nothing(t: &Fixture) {
    let (job, item) = leased(t);
    let tx = begin(t, &job.lease);

    assert_eq!(t.give_back(&job.lease), Finished::Accepted { state: JobState::Available });
    assert_eq!(finish(t, tx, item.clone()), Finished::AlreadyAccepted);

    assert_eq!(t.state(job.lease.job), JobState::Available);
    assert_nothing_stored(t, &item);
}

fn a_transaction_behind_an_ordinary_finish_stores_nothing(t: &Fixture) {
    let (job, item) = leased(t);
    let tx = begin(t, &job.lease);

    assert_eq!(t.complete(&job.lease), COMPLETED);
    assert_eq!(finish(t, tx, item.clone()), Finished::AlreadyAccepted);

    assert_nothing_stored(t, &item);
}

fn an_ordinary_finish_behind_a_transaction_is_a_repeat(t: &Fixture) {
    let (job, item) = leased(t);
    assert_eq!(finish(t, begin(t, &job.lease), item), COMPLETED);

    let failure = FinishItem::fail(job.lease.clone(), std::time::Duration::ZERO, RunError::new("in doubt"));
    assert_eq!(t.finish(failure), Finished::AlreadyAccepted);

    assert_eq!(t.state(job.lease.job), JobState::Completed);
}

fn a_transaction_with_a_tampered_lease_stores_nothing(t: &Fixture) {
    let (job, mut item) = leased(t);
    item.lease.token.0 ^= 1;

    assert_eq!(finish(t, begin(t, &item.lease), item.clone()), lost(LostWhy::Unknown));

    assert_eq!(t.state(job.lease.job), JobState::Running);
    assert_nothing_stored(t, &item);
}

fn a_requested_cancel_wins_over_a_transaction(t: &Fixture) {
    let (job, item) = leased(t);
    let tx = begin(t, &job.lease);
    assert_eq!(t.cancel(job.lease.job), Verdict::Requested);

    let finished = finish(t, tx, item.clone());

    assert_eq!(finished, Finished::Accepted { state: JobState::Cancelled });
    assert_eq!(t.state(job.lease.job), JobState::Cancelled);
    assert!(t.find(item.effects[0].id).is_some(), "what is accepted is committed");
}

fn a_transaction_may_end_a_run_in_any_way(t: &Fixture) {
    let ends = [
        (Decision::Cancel, Ending::Cancelled, JobState::Cancelled),
        (Decision::Discard, Ending::Discarded, JobState::Discarded),
        (Decision::RetryAfter(Fixture::LEASE), Ending::Failed, JobState::Retryable),
    ];
    for (decision, ending, state) in ends {
        t.put(t.job());
        let job = t.take(t.worker());
        let item = FinishItem::new(job.lease.clone(), decision, ending);
        assert_eq!(finish(t, begin(t, &job.lease), item), Finished::Accepted { state });
        assert_eq!(t.state(job.lease.job), state);
    }
}

fn an_open_transaction_holds_up_nobody_of_its_claim(t: &Fixture) {
    t.put_many(3);
    let worker = t.worker();
    let claim = t.next_claim();
    let jobs = t.fetch_claim(worker, claim, Fixture::QUEUE, 3).jobs;
    let tx = begin(t, &jobs[0].lease);

    assert_eq!(t.complete(&jobs[1].lease), COMPLETED);
    assert_eq!(t.renew(worker, &[claim]).lost, Vec::<ClaimId>::new());
    assert_eq!(t.cancel(jobs[2].lease.job), Verdict::Requested);
    assert_eq!(t.complete(&jobs[2].lease), Finished::Accepted { state: JobState::Cancelled });

    assert_eq!(finish(t, tx, FinishItem::complete(jobs[0].lease.clone())), COMPLETED);
}

fn transactions_of_one_claim_end_in_any_order(t: &Fixture) {
    t.put_many(3);
    let jobs = t.fetch(t.worker(), 3);
    let open: Vec<_> = jobs.iter().map(|job| (begin(t, &job.lease), job.lease.clone())).collect();

    for (tx, lease) in open.into_iter().rev() {
        assert_eq!(finish(t, tx, FinishItem::complete(lease)), COMPLETED);
    }

    t.assert_states(&jobs.iter().map(|job| job.lease.job).collect::<Vec<_>>(), JobState::Completed);
}

fn a_finish_past_its_deadline_is_never_stored_later(t: &Fixture) {
    let (job, item) = leased(t);
    let tx = begin(t, &job.lease);

    let error = block_on(tx.finish(t.call().within(std::time::Duration::ZERO), item.clone()))
        .expect_err("no time is no answer");

    assert_eq!(error.certainty(), Certainty::NotStored);
    assert_nothing_stored(t, &item);
    assert_eq!(t.state(job.lease.job), JobState::Running);
    assert_eq!(t.finish(item), COMPLETED);
}
