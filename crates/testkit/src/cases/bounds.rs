//! The edges of requests: nothing, one too many, far too many.

use std::time::Duration;

use bytes::Bytes;
use gristmill_core::{
    BackendErrorKind, Certainty, Cursor, EnqueueRequest, Enqueued, FetchRequest, FinishItem, FinishRequest,
    Finished, JobFilter, JobState, ListRequest, LogLine, Order, QueueWant, RecordRequest, Recorded,
    StatsRequest, VerbRequest,
};

use crate::case::cases;
use crate::fixture::name;
use crate::{Fixture, Shape};

cases! { "bounds":
    bounds_of_a_fetch_of_no_jobs_give_none,
    bounds_of_a_fetch_of_no_jobs_say_which_queues_have_some,
    bounds_of_a_fetch_of_more_than_there_is_give_what_there_is,
    bounds_of_a_fetch_of_many_queues_hold_for_each,
    bounds_of_verbs_on_nothing_answer_nothing,
    bounds_of_a_page_of_nothing_show_nothing,
    bounds_of_rounds_of_nothing_change_nothing,
    bounds_of_a_count_up_to_nothing_say_so,
    bounds_of_a_record_of_nothing_keep_the_lease,
    bounds_of_progress_end_at_a_hundred,
    bounds_of_a_checkpoint_keep_the_one_before,
    bounds_of_a_log_in_one_request_keep_the_newest_lines,
    bounds_of_runs_to_list_give_the_newest,
    bounds_of_a_large_enqueue_store_all_or_nothing,
    bounds_of_a_finish_of_four_thousand_end_all,
    bounds_of_a_large_finish_end_all_or_nothing,
    bounds_of_a_large_get_answer_each,
}

const HOUR: Duration = Duration::from_secs(3600);
/// Five times what a caller may send in one batch.
const FAR_TOO_MANY: usize = 5_000;

fn bounds_of_a_fetch_of_no_jobs_give_none(t: &Fixture) {
    let id = t.put(t.job());

    let reply = t.fetch_claim(t.worker(), t.next_claim(), Fixture::QUEUE, 0);

    assert!(reply.jobs.is_empty() && !reply.queues[0].exhausted, "{reply:?}");
    assert_eq!(t.state(id), JobState::Available);
}

/// A worker of many queues looks at all of them before it fetches from those that have something.
fn bounds_of_a_fetch_of_no_jobs_say_which_queues_have_some(t: &Fixture) {
    t.put(t.job().queue("full"));
    t.put(t.job().queue("later").due_in(HOUR));
    let worker = t.worker();

    let look = |queue: &str| t.fetch_claim(worker, t.next_claim(), queue, 0).queues[0].exhausted;

    assert_eq!((look("full"), look("later"), look("never-used")), (false, true, true));
    t.fetch_claim(worker, t.next_claim(), "full", 1);
    assert!(look("full"));
}

fn bounds_of_a_fetch_of_more_than_there_is_give_what_there_is(t: &Fixture) {
    t.put_many(3);

    let reply = t.fetch_claim(t.worker(), t.next_claim(), Fixture::QUEUE, usize::MAX);

    assert_eq!((reply.jobs.len(), reply.queues[0].exhausted), (3, true));
}

fn bounds_of_a_fetch_of_many_queues_hold_for_each(t: &Fixture) {
    let queues: Vec<String> = (0..100).map(|number| format!("queue-{number}")).collect();
    for queue in &queues {
        t.enqueue(vec![t.job().queue(queue), t.job().queue(queue)]);
    }
    let wants = queues.iter().map(|queue| QueueWant::new(name(queue), 1)).collect();

    let reply = t.fetch_wants(t.worker(), t.next_claim(), wants);

    let fetched: Vec<&str> = reply.jobs.iter().map(|job| job.spec.queue.as_str()).collect();
    assert_eq!(fetched, queues);
}

fn bounds_of_verbs_on_nothing_answer_nothing(t: &Fixture) {
    let id = t.put(t.job());
    let nothing = || VerbRequest::ids(Vec::new());
    let none_of_all = || VerbRequest::filter(JobFilter::new(), None, 0);

    for request in [nothing, none_of_all] {
        let replies = [
            t.must(|backend, call| backend.cancel(call, request())),
            t.must(|backend, call| backend.retry(call, request())),
            t.must(|backend, call| backend.delete(call, request())),
            t.must(|backend, call| backend.update(call, request(), gristmill_core::JobPatch::default())),
            t.must(|backend, call| backend.release_hold(call, request())),
        ];
        assert!(replies.iter().all(|reply| reply.jobs.is_empty() && reply.next.is_none()), "{replies:?}");
    }
    assert_eq!(t.state(id), JobState::Available);
}

fn bounds_of_a_page_of_nothing_show_nothing(t: &Fixture) {
    let ids = t.put_many(3);
    for order in [Order::OldestFirst, Order::NewestFirst] {
        for cursor in [None, Some(Cursor(ids[1]))] {
            let request = ListRequest::new(JobFilter::new()).order(order).after(cursor).limit(0);
            let page = t.must(|backend, call| backend.list(call, request));
            assert!(page.items.is_empty() && page.next.is_none(), "{page:?}");
        }
    }
    assert!(t.find_all(&[]).is_empty());
}

fn bounds_of_rounds_of_nothing_change_nothing(t: &Fixture) {
    let waiting = t.put(t.job().due_in(Duration::from_millis(1)));
    let running = t.put(t.job());
    t.take(t.worker());
    let ended = t.put(t.job().kept(HOUR));
    t.cancel(ended);
    let ids = [waiting, running, ended];
    let before = t.find_all(&ids);
    t.advance(2 * HOUR);

    let promoted = t.must(|backend, call| backend.promote(call, 0));
    let pruned = t.must(|backend, call| backend.prune(call, 0));
    let rescued = t.must(|backend, call| backend.rescue(call, 0));
    let audited = t.must(|backend, call| backend.audit(call, None, 0));

    assert_eq!((promoted.done, pruned.done), (0, 0));
    assert!(promoted.more && pruned.more && rescued.more, "there is more to do: {promoted:?} {pruned:?}");
    assert!(rescued.jobs.is_empty() && audited.repaired.is_empty());
    assert_eq!(t.find_all(&ids), before);
}

fn bounds_of_a_count_up_to_nothing_say_so(t: &Fixture) {
    assert_eq!(t.count_up_to(JobFilter::new(), 0).value, 0);
    t.put_many(2);

    let count = t.count_up_to(JobFilter::new(), 0);
    let stats = t.must(|backend, call| backend.stats(call, StatsRequest::new(Some(0))));

    assert_eq!((count.value, count.capped), (0, true));
    let available = stats.queues[0].count(JobState::Available);
    assert_eq!((available.value, available.capped), (0, true));
}

fn bounds_of_a_record_of_nothing_keep_the_lease(t: &Fixture) {
    let id = t.put(t.job());
    let lease = t.take(t.worker()).lease;
    let before = t.look(id);

    assert_eq!(t.record(RecordRequest::new(lease)), Recorded::Accepted);

    assert_eq!(t.look(id), before);
}

fn bounds_of_progress_end_at_a_hundred(t: &Fixture) {
    let id = t.put(t.job());
    let mut request = RecordRequest::new(t.take(t.worker()).lease);
    request.progress = Some(u8::MAX);

    t.record(request);

    assert_eq!(t.look(id).progress, Some(100));
}

/// A checkpoint that is too large must not take the last good one with it, nor the progress it came with.
fn bounds_of_a_checkpoint_keep_the_one_before(t: &Fixture) {
    let id = t.put(t.job());
    let lease = t.take(t.worker()).lease;
    let mut good = RecordRequest::new(lease.clone());
    good.checkpoint = Some(Bytes::from_static(b"row 7"));
    t.record(good);
    let mut oversized = RecordRequest::new(lease);
    oversized.checkpoint = Some(Bytes::from(vec![7; RecordRequest::MAX_CHECKPOINT_BYTES + 1]));
    oversized.progress = Some(50);

    assert_eq!(t.record(oversized), Recorded::Accepted);

    let kept = t.must(|backend, call| backend.checkpoint(call, id));
    assert_eq!((kept.as_deref(), t.look(id).progress), (Some(&b"row 7"[..]), Some(50)));
}

fn bounds_of_a_log_in_one_request_keep_the_newest_lines(t: &Fixture) {
    let id = t.put(t.job());
    let lease = t.take(t.worker()).lease;
    let mut request = RecordRequest::new(lease.clone());
    let lines = 0..3 * RecordRequest::MAX_LOG_LINES;
    request.log = lines.map(|line| LogLine { at: t.now(), text: line.to_string() }).collect();

    t.record(request);
    t.complete(&lease);

    let kept = t.runs(id).remove(0).log;
    assert_eq!(kept.len(), RecordRequest::MAX_LOG_LINES);
    assert_eq!((kept[0].text.as_str(), kept[999].text.as_str()), ("2000", "2999"));
}

fn bounds_of_runs_to_list_give_the_newest(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    for _ in 0..5 {
        t.give_back(&t.take(worker).lease);
    }

    for (limit, expected) in [(0, &[][..]), (2, &[4, 5]), (usize::MAX, &[1, 2, 3, 4, 5])] {
        let runs = t.must(|backend, call| backend.list_runs(call, id, limit));
        assert_eq!(runs.iter().map(|run| run.run).collect::<Vec<_>>(), expected, "limit {limit}");
    }
}

/// A batch above the bound is done or refused; were it cut in silence, its tail would be lost.
fn bounds_of_a_large_enqueue_store_all_or_nothing(t: &Fixture) {
    let jobs: Vec<_> = (0..FAR_TOO_MANY).map(|_| t.job()).collect();

    let stored = match t.ask(|backend, call| backend.enqueue(call, EnqueueRequest::new(jobs))) {
        Ok(reply) => {
            assert_eq!(reply.jobs, vec![Enqueued::Created; FAR_TOO_MANY]);
            FAR_TOO_MANY
        }
        Err(error) => {
            assert_eq!((error.kind(), error.certainty()), (BackendErrorKind::Refused, Certainty::NotStored));
            0
        }
    };

    assert_eq!(t.count(JobFilter::new()), stored as u64);
}

/// So many jobs that run, fetched a thousand at a time, as completed.
fn completions(t: &Fixture, count: usize) -> Vec<FinishItem> {
    let worker = t.worker();
    let mut items = Vec::new();
    for _ in 0..count / 1_000 {
        t.put_many(1_000);
        let want = vec![QueueWant::new(name(Fixture::QUEUE), 1_000)];
        let reply = t.try_fetch(FetchRequest::new(worker, t.next_claim(), want));
        let jobs = reply.unwrap_or_else(|error| panic!("{error:?}")).jobs;
        assert_eq!(jobs.len(), 1_000, "a thousand is a batch of the usual size");
        items.extend(jobs.into_iter().map(|job| FinishItem::complete(job.lease)));
    }
    items
}

fn bounds_of_a_finish_of_four_thousand_end_all(t: &Fixture) {
    let items = completions(t, 4_000);

    let ended = t.finish_all(items);

    assert_eq!(ended, vec![Finished::Accepted { state: JobState::Completed }; 4_000]);
}

fn bounds_of_a_large_finish_end_all_or_nothing(t: &Fixture) {
    let items = completions(t, FAR_TOO_MANY);

    let completed = match t.ask(|backend, call| backend.finish(call, FinishRequest::new(items))) {
        Ok(reply) => {
            let accepted = Finished::Accepted { state: JobState::Completed };
            assert_eq!(reply.items, vec![accepted; FAR_TOO_MANY]);
            FAR_TOO_MANY
        }
        Err(error) => {
            assert_eq!((error.kind(), error.certainty()), (BackendErrorKind::Refused, Certainty::NotStored));
            0
        }
    };

    assert_eq!(t.count(JobFilter::new().state(JobState::Completed)), completed as u64);
}

fn bounds_of_a_large_get_answer_each(t: &Fixture) {
    let mut ids = t.put_many(1_000);
    ids.push(t.next_id());
    ids.reverse();

    let found = t.find_all(&ids);

    assert_eq!((found.iter().flatten().count(), &found[0]), (1_000, &None));
}
