//! What a running attempt keeps: progress, checkpoint, log.

use std::time::Duration;

use bytes::Bytes;
use gristmill_core::{JobId, Lease, LeaseToken, LogLine, RecordRequest, Recorded};

use crate::Fixture;
use crate::case::cases;

cases! { "record":
    record_keeps_progress,
    record_keeps_the_latest_progress,
    record_progress_is_that_of_the_running_attempt,
    record_keeps_a_checkpoint_for_the_next_attempt,
    record_keeps_the_latest_checkpoint,
    record_keeps_a_checkpoint_byte_for_byte,
    record_of_one_thing_leaves_the_others,
    record_keeps_log_lines_in_order_with_their_run,
    record_keeps_the_newest_log_lines,
    record_repeated_after_a_lost_reply_stores_each_line_once,
    record_of_lines_that_have_gone_brings_none_back,
    record_keeps_the_log_of_a_run_that_crashed,
    record_with_a_wrong_token_keeps_nothing,
    record_after_the_finish_keeps_nothing,
    record_after_a_rescue_keeps_nothing,
    record_after_a_give_back_keeps_nothing,
    record_survives_reopening needs Durable,
}

/// Fetches a fresh job.
fn running(t: &Fixture) -> (JobId, Lease) {
    let id = t.put(t.job());
    (id, t.take(t.worker()).lease)
}

fn progress(lease: &Lease, percent: u8) -> RecordRequest {
    let mut request = RecordRequest::new(lease.clone());
    request.progress = Some(percent);
    request
}

fn checkpoint(lease: &Lease, bytes: &[u8]) -> RecordRequest {
    let mut request = RecordRequest::new(lease.clone());
    request.checkpoint = Some(Bytes::copy_from_slice(bytes));
    request
}

/// Lines of a run's log, the first one with this number.
fn log(t: &Fixture, lease: &Lease, first: u32, lines: impl IntoIterator<Item = String>) -> RecordRequest {
    let mut request = RecordRequest::new(lease.clone());
    request.first_line = first;
    request.log = lines.into_iter().map(|text| LogLine { at: t.now(), text }).collect();
    request
}

fn stored(t: &Fixture, id: JobId) -> Option<Bytes> {
    t.must(|backend, call| backend.checkpoint(call, id))
}

fn record_keeps_progress(t: &Fixture) {
    let (id, lease) = running(t);

    assert_eq!(t.record(progress(&lease, 40)), Recorded::Accepted);

    assert_eq!(t.look(id).progress, Some(40));
}

fn record_keeps_the_latest_progress(t: &Fixture) {
    let (id, lease) = running(t);
    t.record(progress(&lease, 80));

    t.record(progress(&lease, 30));

    assert_eq!(t.look(id).progress, Some(30));
}

fn record_progress_is_that_of_the_running_attempt(t: &Fixture) {
    let (id, lease) = running(t);
    t.record(progress(&lease, 80));
    t.give_back(&lease);

    t.take(t.worker());

    assert_eq!(t.look(id).progress, None);
}

fn record_keeps_a_checkpoint_for_the_next_attempt(t: &Fixture) {
    let (id, lease) = running(t);
    assert_eq!(stored(t, id), None);
    t.record(checkpoint(&lease, b"row 7"));

    t.crash();
    t.take(t.worker());

    assert_eq!(stored(t, id).as_deref(), Some(&b"row 7"[..]));
}

fn record_keeps_the_latest_checkpoint(t: &Fixture) {
    let (id, lease) = running(t);
    t.record(checkpoint(&lease, b"row 7"));

    t.record(checkpoint(&lease, b"row 9"));

    assert_eq!(stored(t, id).as_deref(), Some(&b"row 9"[..]));
}

fn record_keeps_a_checkpoint_byte_for_byte(t: &Fixture) {
    let (id, lease) = running(t);
    let every_byte: Vec<u8> = (0..=255).cycle().take(RecordRequest::MAX_CHECKPOINT_BYTES).collect();

    t.record(checkpoint(&lease, &every_byte));

    assert!(stored(t, id).as_deref() == Some(&every_byte[..]), "the checkpoint came back changed");
}

fn record_of_one_thing_leaves_the_others(t: &Fixture) {
    let (id, lease) = running(t);
    t.record(progress(&lease, 40));

    t.record(checkpoint(&lease, b"x"));
    t.record(log(t, &lease, 1, ["a line".to_owned()]));

    assert_eq!((t.look(id).progress, stored(t, id).as_deref()), (Some(40), Some(&b"x"[..])));
}

fn record_keeps_log_lines_in_order_with_their_run(t: &Fixture) {
    let (id, lease) = running(t);
    t.record(log(t, &lease, 1, ["one".to_owned(), "two".to_owned()]));
    t.advance(Duration::from_secs(1));
    t.record(log(t, &lease, 3, ["three \u{1f41f}".to_owned()]));
    t.give_back(&lease);
    let second = t.take(t.worker()).lease;
    t.record(log(t, &second, 1, ["four".to_owned()]));
    t.complete(&second);

    let runs = t.runs(id);

    let lines = |at: usize| runs[at].log.iter().map(|line| line.text.as_str()).collect::<Vec<_>>();
    assert_eq!(lines(0), ["one", "two", "three \u{1f41f}"]);
    assert_eq!(lines(1), ["four"]);
    assert_eq!(runs[0].log[2].at, t.now());
}

fn record_keeps_the_newest_log_lines(t: &Fixture) {
    let (id, lease) = running(t);
    let surplus = 5;
    for part in 0..3 {
        let count = RecordRequest::MAX_LOG_LINES / 2 + surplus;
        let lines = (0..count).map(|line| format!("{part}:{line}"));
        t.record(log(t, &lease, u32::try_from(part * count).expect("a small number") + 1, lines));
    }
    t.complete(&lease);

    let kept = t.runs(id).remove(0).log;

    assert_eq!(kept.len(), RecordRequest::MAX_LOG_LINES);
    assert_eq!(kept.last().map(|line| line.text.as_str()), Some("2:504"));
}

fn record_repeated_after_a_lost_reply_stores_each_line_once(t: &Fixture) {
    let (id, lease) = running(t);
    let first = log(t, &lease, 1, ["one".to_owned(), "two".to_owned()]);
    let second = log(t, &lease, 3, ["three".to_owned()]);
    for request in [&first, &first, &second, &first, &second] {
        assert_eq!(t.record(request.clone()), Recorded::Accepted);
    }
    // A request whose end was lost, repeated with what came since.
    t.record(log(t, &lease, 2, ["two".to_owned(), "three".to_owned(), "four".to_owned()]));
    t.complete(&lease);
    let runs = t.runs(id);
    let lines: Vec<_> = runs[0].log.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(lines, ["one", "two", "three", "four"]);
}

fn record_of_lines_that_have_gone_brings_none_back(t: &Fixture) {
    let (id, lease) = running(t);
    let first = log(t, &lease, 1, ["one".to_owned(), "two".to_owned()]);
    t.record(first.clone());
    let count = RecordRequest::MAX_LOG_LINES;
    t.record(log(t, &lease, 3, (0..count).map(|line| line.to_string())));
    t.record(first);
    t.complete(&lease);
    let kept = t.runs(id).remove(0).log;
    assert_eq!((kept.len(), kept[0].text.as_str()), (count, "0"));
}

fn record_keeps_the_log_of_a_run_that_crashed(t: &Fixture) {
    let (id, lease) = running(t);
    t.record(log(t, &lease, 1, ["the last words".to_owned()]));

    t.crash();

    assert_eq!(t.runs(id)[0].log[0].text, "the last words");
}

/// Asserts that a lease that does not hold keeps nothing.
fn assert_keeps_nothing(t: &Fixture, id: JobId, lease: &Lease) {
    let before = t.find(id);
    let mut request = progress(lease, 99);
    request.checkpoint = Some(Bytes::from_static(b"stale"));

    assert_eq!(t.record(request), Recorded::LeaseLost);

    assert_eq!((t.find(id), stored(t, id)), (before, None));
}

fn record_with_a_wrong_token_keeps_nothing(t: &Fixture) {
    let (id, mut lease) = running(t);
    lease.token = LeaseToken(lease.token.0 ^ (1 << 100));

    assert_keeps_nothing(t, id, &lease);
}

fn record_after_the_finish_keeps_nothing(t: &Fixture) {
    let (id, lease) = running(t);
    t.complete(&lease);

    assert_keeps_nothing(t, id, &lease);
}

fn record_after_a_rescue_keeps_nothing(t: &Fixture) {
    let (id, lease) = running(t);
    t.crash();
    t.take(t.worker());

    assert_keeps_nothing(t, id, &lease);
}

fn record_after_a_give_back_keeps_nothing(t: &Fixture) {
    let (id, lease) = running(t);
    t.renew_nothing(&lease);

    assert_keeps_nothing(t, id, &lease);
}

fn record_survives_reopening(t: &Fixture) {
    let (id, lease) = running(t);
    t.record(progress(&lease, 40));
    t.record(checkpoint(&lease, b"row 7"));
    t.record(log(t, &lease, 1, ["one".to_owned()]));

    t.reopen();

    assert_eq!((t.look(id).progress, stored(t, id).as_deref()), (Some(40), Some(&b"row 7"[..])));
    t.complete(&lease);
    assert_eq!(t.runs(id)[0].log[0].text, "one");
}

impl Fixture {
    /// The worker of a lease renews without knowing it.
    fn renew_nothing(&self, lease: &Lease) {
        let worker = self.look(lease.job).worker.expect("it runs");
        self.renew(worker, &[]);
    }
}
