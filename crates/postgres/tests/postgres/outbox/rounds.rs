//! In which order requests are applied, how many bytes at once, and how fast.

use std::time::Duration;

use gristmill_core::{Backend, Call, JobId, JobState};
use gristmill_testkit::block_on;

use super::Caller;
use super::requests::{apply, left, of, promote, request, state};
use crate::fixture::Schema;

/// A row with a lower number that is committed late comes before later requests for its job.
#[test]
fn rm28_a_request_that_is_committed_late_is_applied_before_later_ones_of_its_job() {
    let schema = Schema::new();
    let backend = schema.open();
    let (early, other) = (Caller::of(&schema), Caller::of(&schema));
    let id = schema.enqueue(&backend, 1)[0];
    early.run("BEGIN");
    request(&early, "update", &[id], r#","patch":{"delay_ms":3600000}"#);
    let absent: Vec<JobId> = (0..250).map(|_| schema.job().id).collect();
    request(&other, "cancel", &absent, "");
    assert!(promote(&backend).more, "the first hundred are done, the others are not");
    early.run("COMMIT");
    request(&other, "update", &[id], r#","patch":{"now":true}"#);
    apply(&backend);
    assert_eq!((state(&backend, id), left(&schema).as_str()), (Some(JobState::Available), "0"));
}

#[test]
fn large_patches_are_applied_in_parts_and_too_large_ones_are_refused() {
    let schema = Schema::new();
    let (backend, caller) = (schema.open(), Caller::of(&schema));
    let ids = schema.enqueue(&backend, 30);
    for (number, id) in ids.iter().enumerate() {
        let args = format!("\\\"{number}{}\\\"", "x".repeat(1_000_000));
        request(&caller, "update", &[*id], &format!(r#","patch":{{"args":"{args}"}}"#));
    }
    assert_eq!((apply(&backend), left(&schema).as_str()), (30, "0"));
    for (number, job) in
        block_on(backend.get(Call::new(), ids)).expect("they are there").into_iter().enumerate()
    {
        let args = job.expect("it is there").spec.args;
        assert!(
            args.as_bytes().starts_with(format!("\"{number}x").as_bytes())
                && args.as_bytes().len() > 1_000_000
        );
    }
    let id = schema.enqueue(&backend, 1);
    let patch = format!(r#","patch":{{"args":"\"{}\""}}"#, "x".repeat(4 << 20));
    let refused = caller.try_ask("request", &of("update", &id, &patch)).expect_err("it is too large").message;
    assert!(refused.contains("the patch has more than"), "{refused}");
    let actor = format!(r#","actor":"{}""#, "x".repeat(2_000));
    let refused = caller.try_ask("request", &of("cancel", &id, &actor)).expect_err("it is too long").message;
    assert!(refused.contains("the actor is no text of at most"), "{refused}");
}

/// Other operations keep their throughput, and no call keeps a connection meanwhile.
#[test]
fn rm30_the_pause_of_a_flood_is_given_back_and_kept() {
    let schema = Schema::new();
    let backend = schema.open();
    schema.psql(
        "INSERT INTO {schema}.requests (id, verb) SELECT gen_random_uuid(), 'cancel' FROM generate_series(1, 1500)",
    );
    let mut done = 0;
    let pause = loop {
        let round = promote(&backend);
        done += round.done;
        if !round.more {
            break round;
        }
    };
    assert!((1_000..1_500).contains(&done), "the pause comes with the flood: {done}");
    let resume = pause.next_due.expect("it goes on");
    loop {
        let round = promote(&backend);
        assert!(!round.more, "{round:?}");
        if round.done > 0 {
            done += round.done;
            break;
        }
    }
    // Times are whole milliseconds.
    let now = block_on(backend.ping(Call::new())).expect("it is answered").now;
    assert!(now + Duration::from_millis(5) >= resume, "a call in the pause does nothing: {now:?} {resume:?}");
    while left(&schema) != "0" {
        done += promote(&backend).done;
    }
    assert_eq!(done, 1_500);
}
