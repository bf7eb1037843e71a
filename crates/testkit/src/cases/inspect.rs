//! What the store shows: get, list, count, stats, runs.

use std::time::Duration;

use gristmill_core::{Capability, JobFilter, JobId, JobState, ListRequest, MigrateMode, Order};

use crate::case::cases;
use crate::fixture::name;
use crate::{Fixture, Shape};

cases! { "inspect":
    inspect_answers_in_the_order_of_the_ids,
    inspect_of_one_id_twice_answers_twice,
    list_shows_every_job_once_whatever_the_page,
    list_goes_by_id_in_the_order_asked_for,
    list_of_an_empty_store_is_empty,
    list_shows_whole_records,
    list_gives_at_most_its_limit,
    list_filters_by_every_member,
    list_members_must_all_hold,
    list_values_of_one_member_are_alternatives,
    list_compares_names_byte_by_byte,
    list_pages_miss_nothing_that_stays,
    list_finds_few_jobs_behind_many_others,
    count_counts_what_a_list_shows,
    count_ends_at_its_cap,
    stats_count_every_state,
    stats_follow_every_move,
    stats_end_at_their_cap,
    stats_say_how_long_the_oldest_available_job_is_due,
    stats_name_queues_in_order,
    list_runs_gives_the_newest_oldest_first,
    list_runs_of_no_job_is_empty,
    list_events_keeps_the_latest,
    list_queues_shows_queues_with_jobs_or_paused,
    list_queues_remembers_a_queue_whose_jobs_are_gone,
    ping_answers_with_the_calls_clock,
    migrate_again_changes_nothing,
    diagnose_of_a_fresh_store_is_fine,
    capabilities_are_those_declared,
}

const MINUTE: Duration = Duration::from_secs(60);

fn inspect_answers_in_the_order_of_the_ids(t: &Fixture) {
    let ids = t.put_many(3);
    let asked = [ids[2], t.next_id(), ids[0]];

    let found: Vec<Option<JobId>> = t.find_all(&asked).into_iter().map(|job| job.map(|job| job.id)).collect();

    assert_eq!(found, [Some(ids[2]), None, Some(ids[0])]);
}

fn inspect_of_one_id_twice_answers_twice(t: &Fixture) {
    let id = t.put(t.job());

    assert_eq!(t.find_all(&[id, id]).iter().flatten().count(), 2);
}

fn list_shows_every_job_once_whatever_the_page(t: &Fixture) {
    let ids = t.put_many(23);

    for limit in [1, 7, 22, 23, 24, 1_000] {
        assert_eq!(t.list(&JobFilter::new(), Order::OldestFirst, limit), ids, "pages of {limit}");
    }
}

fn list_goes_by_id_in_the_order_asked_for(t: &Fixture) {
    let mut ids = t.put_many(9);
    assert_eq!(t.list(&JobFilter::new(), Order::OldestFirst, 4), ids);

    ids.reverse();

    assert_eq!(t.list(&JobFilter::new(), Order::NewestFirst, 4), ids);
}

fn list_of_an_empty_store_is_empty(t: &Fixture) {
    assert!(t.list(&JobFilter::new(), Order::NewestFirst, 10).is_empty());
}

fn list_shows_whole_records(t: &Fixture) {
    let id = t.put(t.job().tag("red").key("k").args("[1]"));
    t.fail(&t.take(t.worker()).lease, MINUTE);

    let page = t.must(|backend, call| backend.list(call, ListRequest::new(JobFilter::new())));

    assert_eq!(page.items, [t.look(id)]);
}

fn list_gives_at_most_its_limit(t: &Fixture) {
    for _ in 0..2 {
        t.put_many(600);
    }

    let request = ListRequest::new(JobFilter::new()).limit(usize::MAX);
    let page = t.must(|backend, call| backend.list(call, request));

    assert!(page.items.len() <= ListRequest::MAX_LIMIT && page.next.is_some());
}

/// Asserts what a filter shows, in a list and in a count.
fn assert_shows(t: &Fixture, filter: &JobFilter, expected: &[JobId]) {
    assert_eq!(t.list(filter, Order::OldestFirst, 2), expected, "{filter:?}");
    assert_eq!(t.count(filter.clone()), expected.len() as u64, "{filter:?}");
}

fn list_filters_by_every_member(t: &Fixture) {
    let worker = t.worker();
    let run = t.put(t.job());
    t.fail(&t.take(worker).lease, MINUTE);
    t.advance(MINUTE);
    let mail = t.put(t.job().queue("mail").tag("red").tag("blue"));
    let send = t.put(t.job().kind("send").due_in(MINUTE));
    let all = JobFilter::new;

    assert_shows(t, &all(), &[run, mail, send]);
    assert_shows(t, &all().state(JobState::Retryable), &[run]);
    assert_shows(t, &all().queue(name("mail")), &[mail]);
    assert_shows(t, &all().kind(name("send")), &[send]);
    assert_shows(t, &all().tag(name("blue")), &[mail]);
    let mut filter = all();
    filter.worker = Some(worker);
    assert_shows(t, &filter, &[run]);
    let mut filter = all();
    filter.ids = vec![send, run];
    assert_shows(t, &filter, &[run, send]);
    let mut filter = all();
    filter.created_from = Some(t.now());
    assert_shows(t, &filter, &[mail, send]);
    let mut filter = all();
    filter.created_before = Some(t.now());
    assert_shows(t, &filter, &[run]);
}

fn list_members_must_all_hold(t: &Fixture) {
    t.put(t.job().queue("mail"));
    t.put(t.job().tag("red"));
    let both = t.put(t.job().queue("mail").tag("red"));

    assert_shows(t, &JobFilter::new().queue(name("mail")).tag(name("red")), &[both]);
}

fn list_values_of_one_member_are_alternatives(t: &Fixture) {
    let mail = t.put(t.job().queue("mail").due_in(MINUTE));
    let post = t.put(t.job().queue("post"));
    t.put(t.job());

    assert_shows(t, &JobFilter::new().queue(name("post")).queue(name("mail")), &[mail, post]);
    let states = JobFilter::new().state(JobState::Scheduled).state(JobState::Suspended);
    assert_shows(t, &states, &[mail]);
}

fn list_compares_names_byte_by_byte(t: &Fixture) {
    t.put(t.job().queue("Mail").kind("Send").tag("Red"));

    assert_shows(t, &JobFilter::new().queue(name("mail")), &[]);
    assert_shows(t, &JobFilter::new().kind(name("send")), &[]);
    assert_shows(t, &JobFilter::new().tag(name("red")), &[]);
    assert_shows(t, &JobFilter::new().tag(name("Re")), &[]);
}

fn list_pages_miss_nothing_that_stays(t: &Fixture) {
    let ids = t.put_many(10);
    let request = ListRequest::new(JobFilter::new()).order(Order::OldestFirst).limit(4);
    let first = t.must(|backend, call| backend.list(call, request.clone()));

    // What the first page showed goes, and more comes: the second page begins behind the cursor all the same.
    for id in &ids[..4] {
        t.delete(*id);
    }
    t.put(t.job());
    let second = t.must(|backend, call| backend.list(call, request.clone().after(first.next)));

    let shown: Vec<_> = first.items.iter().chain(&second.items).map(|job| job.id).collect();
    assert_eq!(shown, ids[..8]);
}

/// A page without a job is no answer as long as there is time to look on: here behind more jobs than a call
/// looks at else.
fn list_finds_few_jobs_behind_many_others(t: &Fixture) {
    let mut rare = t.job();
    rare.spec.kind = name("rare");
    let wanted = t.put(rare);
    for _ in 0..13 {
        t.put_many(1_000);
    }
    let of_kind = JobFilter::new().kind(name("rare"));

    let request = ListRequest::new(of_kind.clone()).limit(10).order(Order::NewestFirst);
    let page = t.must(|backend, call| backend.list(call, request.clone()));

    assert_eq!(page.items.iter().map(|job| job.id).collect::<Vec<_>>(), [wanted]);
    let count = t.must(|backend, call| backend.count(call, of_kind.clone(), None));
    assert_eq!((count.value, count.capped), (1, false));
}

fn count_counts_what_a_list_shows(t: &Fixture) {
    t.put_many(7);
    t.put(t.job().tag("red").suspended());

    assert_eq!(t.count(JobFilter::new()), 8);
    assert_eq!(t.count(JobFilter::new().state(JobState::Available)), 7);
    assert_eq!(t.count(JobFilter::new().tag(name("red"))), 1);
    assert_eq!(t.count(JobFilter::new().queue(name("nowhere"))), 0);
}

fn count_ends_at_its_cap(t: &Fixture) {
    t.put_many(9);

    for filter in [JobFilter::new(), JobFilter::new().kind(name(Fixture::KIND))] {
        let below = t.count_up_to(filter.clone(), 20);
        assert_eq!((below.value, below.capped), (9, false));
        let above = t.count_up_to(filter, 4);
        assert_eq!((above.value, above.capped), (4, true));
    }
}

/// The counts of the usual queue by state.
fn counts(t: &Fixture) -> [u64; 8] {
    t.queue_stats(Fixture::QUEUE).counts.map(|count| count.value)
}

fn stats_count_every_state(t: &Fixture) {
    let worker = t.worker();
    t.put(t.job());
    t.fail(&t.take(worker).lease, MINUTE);
    t.put(t.job());
    t.complete(&t.take(worker).lease);
    t.put(t.job().attempts(1));
    t.fail(&t.take(worker).lease, MINUTE);
    t.put(t.job());
    t.take(worker);
    t.cancel(t.put(t.job()));
    t.put(t.job().suspended());
    t.put(t.job().due_in(MINUTE));
    t.put(t.job());

    assert_eq!(counts(t), [1; 8]);
}

fn stats_follow_every_move(t: &Fixture) {
    let worker = t.worker();
    let ids = t.put_many(3);
    let lease = t.take(worker).lease;
    assert_eq!(counts(t), [0, 0, 2, 1, 0, 0, 0, 0]);
    t.complete(&lease);
    t.cancel(ids[1]);
    assert_eq!(counts(t), [0, 0, 1, 0, 0, 1, 1, 0]);
    t.retry(ids[1]);
    t.delete(ids[0]);

    assert_eq!(counts(t), [0, 0, 2, 0, 0, 0, 0, 0]);
}

fn stats_end_at_their_cap(t: &Fixture) {
    t.put_many(9);

    let request = gristmill_core::StatsRequest::new(Some(4));
    let stats = t.must(|backend, call| backend.stats(call, request)).queues.remove(0);

    let available = stats.count(JobState::Available);
    assert_eq!((available.value, available.capped), (4, true));
}

fn stats_say_how_long_the_oldest_available_job_is_due(t: &Fixture) {
    t.put(t.job().due_in(MINUTE));
    assert_eq!(t.queue_stats(Fixture::QUEUE).oldest_available, None);
    t.put(t.job());
    t.advance(Duration::from_secs(7));
    t.put(t.job());

    assert_eq!(t.queue_stats(Fixture::QUEUE).oldest_available, Some(Duration::from_secs(7)));
}

fn stats_name_queues_in_order(t: &Fixture) {
    for queue in ["b", "C", "a", "a:b"] {
        t.put(t.job().queue(queue));
    }

    let names: Vec<_> = t.stats().queues.iter().map(|stats| stats.queue.name.to_string()).collect();

    assert_eq!(names, ["C", "a", "a:b", "b"]);
}

fn list_runs_gives_the_newest_oldest_first(t: &Fixture) {
    let worker = t.worker();
    let id = t.put(t.job());
    for _ in 0..5 {
        t.give_back(&t.take(worker).lease);
    }

    let runs = t.must(|backend, call| backend.list_runs(call, id, 2));

    assert_eq!(runs.iter().map(|run| run.run).collect::<Vec<_>>(), [4, 5]);
}

fn list_runs_of_no_job_is_empty(t: &Fixture) {
    let id = t.next_id();

    assert!(t.runs(id).is_empty() && t.events(id).is_empty());
}

fn list_events_keeps_the_latest(t: &Fixture) {
    let id = t.put(t.job());
    for number in 0..gristmill_core::JobEvent::KEPT + 5 {
        let request = gristmill_core::VerbRequest::ids(vec![id]).by(format!("ada-{number}"));
        t.must(|backend, call| backend.update(call, request, gristmill_core::JobPatch::default()));
    }

    let events = t.events(id);

    assert_eq!(events.len(), gristmill_core::JobEvent::KEPT);
    assert_eq!(events.last().and_then(|event| event.actor.as_deref()), Some("ada-104"));
}

/// The names of the queues the store knows.
fn queues(t: &Fixture) -> Vec<String> {
    let queues = t.must(|backend, call| backend.list_queues(call));
    queues.iter().map(|queue| queue.name.to_string()).collect()
}

fn list_queues_shows_queues_with_jobs_or_paused(t: &Fixture) {
    t.put(t.job().queue("mail"));
    t.pause("halted");

    assert_eq!(queues(t), ["halted", "mail"]);
}

fn list_queues_remembers_a_queue_whose_jobs_are_gone(t: &Fixture) {
    t.delete(t.put(t.job().queue("mail")));

    assert_eq!(queues(t), ["mail"]);
}

fn ping_answers_with_the_calls_clock(t: &Fixture) {
    let ping = t.must(|backend, call| backend.ping(call));

    assert_eq!(ping.now, t.now());
    assert!(!ping.version.is_empty());
}

fn migrate_again_changes_nothing(t: &Fixture) {
    let id = t.put(t.job());

    let report = t.must(|backend, call| backend.migrate(call, MigrateMode::Up));

    assert_eq!((report.current, report.steps.len()), (report.latest, 0));
    assert_eq!(t.state(id), JobState::Available);
    let status = t.must(|backend, call| backend.migrate(call, MigrateMode::Status));
    assert_eq!((status.current, status.latest), (report.current, report.latest));
}

fn diagnose_of_a_fresh_store_is_fine(t: &Fixture) {
    for found in t.must(|backend, call| backend.diagnose(call)) {
        // A setting may be doubtful on the machine the suite runs on; what is wrong must come with a remedy.
        assert!(found.ok || found.remedy.is_some(), "{found:?}");
        assert!(!found.check.is_empty() && !found.finding.is_empty(), "{found:?}");
    }
}

fn capabilities_are_those_declared(t: &Fixture) {
    let backend = t.backend();
    let twice = [backend.capabilities(), backend.capabilities()];

    assert_eq!(twice[0], twice[1]);
    assert!(Capability::ALL.iter().filter(|one| twice[0].has(**one)).count() == twice[0].iter().count());
    assert!(!backend.name().is_empty());
}
