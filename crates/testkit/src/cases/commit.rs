//! When a change of a register is written.

use std::time::Duration;

use gristmill_core::{Committed, Expect, Register, Stamp};

use crate::Fixture;
use crate::case::cases;
use crate::fixture::register::{SPACE, change, made, value};

cases! { "commit":
    commit_writes_a_register_that_is_absent,
    commit_replaces_the_register_that_was_read,
    commit_of_another_stamp_is_stale_and_shows_what_stands,
    commit_of_any_replaces_what_stands,
    commit_is_recognised_when_it_is_repeated,
    commit_repeated_after_another_writer_is_stale,
    commit_of_a_deletion_is_recognised_when_it_is_repeated,
    commit_never_matches_a_register_that_was_made_again,
    commit_counts_a_forgotten_register_as_absent,
    commit_recognises_its_stamp_on_a_forgotten_register_for_ten_minutes,
    commit_that_extends_a_register_saves_it_from_the_prune,
    commit_survives_reopening needs Durable,
}

/// RR6.
fn commit_writes_a_register_that_is_absent(t: &Fixture) {
    let put = value("first").due(t.now());

    assert_eq!(t.commit(change("key", Expect::Absent, put.clone())), Committed::Done(Vec::new()));

    assert_eq!(t.find_register(SPACE, "key"), Some(put));
}

fn commit_replaces_the_register_that_was_read(t: &Fixture) {
    let read = t.make(made("key"));
    let second = value("second");

    assert_eq!(t.commit(change("key", Expect::Stamp(read), second.clone())), Committed::Done(Vec::new()));

    assert_eq!(t.find_register(SPACE, "key"), Some(second));
}

fn commit_of_another_stamp_is_stale_and_shows_what_stands(t: &Fixture) {
    let first = made("key");
    t.make(first.clone());

    let absent = t.commit(change("key", Expect::Absent, value("other")));
    let strange = t.commit(change("key", Expect::Stamp(Stamp::random()), value("other")));
    let nothing = t.commit(change("another", Expect::Stamp(first.put.stamp), value("other")));

    assert_eq!(absent, Committed::Stale(Some(first.put.clone())));
    assert_eq!(strange, Committed::Stale(Some(first.put.clone())));
    assert_eq!(nothing, Committed::Stale(None));
    assert_eq!((t.find_register(SPACE, "key"), t.find_register(SPACE, "another")), (Some(first.put), None));
}

fn commit_of_any_replaces_what_stands(t: &Fixture) {
    let (first, second) = (value("first"), value("second"));

    assert_eq!(t.commit(change("key", Expect::Any, first)), Committed::Done(Vec::new()));
    assert_eq!(t.commit(change("key", Expect::Any, second.clone())), Committed::Done(Vec::new()));

    assert_eq!(t.find_register(SPACE, "key"), Some(second));
}

/// RR3.
fn commit_is_recognised_when_it_is_repeated(t: &Fixture) {
    let first = made("key");
    t.make(first.clone());
    let second = change("key", Expect::Stamp(first.put.stamp), value("second"));
    t.make(second.clone());

    assert_eq!(t.commit(second.clone()), Committed::Again);
    let any = change("key", Expect::Any, second.put.clone());
    assert_eq!(t.commit(any), Committed::Again);

    assert_eq!(t.find_register(SPACE, "key"), Some(second.put));
}

/// RR3.
fn commit_repeated_after_another_writer_is_stale(t: &Fixture) {
    let first = made("key");
    let read = t.make(first.clone());
    let other = change("key", Expect::Stamp(read), value("other"));
    t.make(other.clone());

    assert_eq!(t.commit(first), Committed::Stale(Some(other.put)));
}

/// RR3, RR6.
fn commit_of_a_deletion_is_recognised_when_it_is_repeated(t: &Fixture) {
    let read = t.make(made("key"));
    let deletion = change("key", Expect::Stamp(read), value("gone").forget_at(t.now()));
    t.make(deletion.clone());

    assert_eq!(t.find_register(SPACE, "key"), None);
    assert_eq!(t.commit(deletion), Committed::Again);
}

/// RR4.
fn commit_never_matches_a_register_that_was_made_again(t: &Fixture) {
    let read = t.make(made("key"));
    t.make(change("key", Expect::Stamp(read), value("gone").forget_at(t.now())));
    let again = change("key", Expect::Absent, value("first"));
    t.make(again.clone());

    assert_eq!(
        t.commit(change("key", Expect::Stamp(read), value("late"))),
        Committed::Stale(Some(again.put))
    );
}

/// RR6.
fn commit_counts_a_forgotten_register_as_absent(t: &Fixture) {
    let minute = Duration::from_secs(60);
    let first = change("key", Expect::Absent, value("first").forget_at(t.now() + minute));
    let read = t.make(first.clone());

    t.advance_just_below(minute);
    assert_eq!(t.find_register(SPACE, "key"), Some(first.put.clone()));
    assert_eq!(t.commit(change("key", Expect::Absent, value("new"))), Committed::Stale(Some(first.put)));

    t.advance(Duration::from_millis(1));
    assert_eq!(t.find_register(SPACE, "key"), None);
    assert_eq!(t.commit(change("key", Expect::Stamp(read), value("new"))), Committed::Stale(None));
    t.make(change("key", Expect::Absent, value("new")));
}

/// RR6.
fn commit_recognises_its_stamp_on_a_forgotten_register_for_ten_minutes(t: &Fixture) {
    let first = change("key", Expect::Absent, value("first").forget_at(t.now() + Duration::from_secs(1)));
    t.make(first.clone());

    t.advance(Duration::from_secs(1));
    t.advance_just_below(Register::KEPT_FORGOTTEN);
    t.prune();
    assert_eq!(t.commit(first.clone()), Committed::Again);

    t.advance(Duration::from_millis(1));
    t.prune();
    assert_eq!(
        t.commit(change("key", Expect::Stamp(first.put.stamp), value("late"))),
        Committed::Stale(None)
    );
    t.make(first);
}

/// RR5.
fn commit_that_extends_a_register_saves_it_from_the_prune(t: &Fixture) {
    let second = Duration::from_secs(1);
    let read = t.make(change("key", Expect::Absent, value("first").forget_at(t.now() + second)));
    let extended = change("key", Expect::Stamp(read), value("second"));
    t.make(extended.clone());

    t.advance(Register::KEPT_FORGOTTEN + 2 * second);
    t.prune();

    assert_eq!(t.find_register(SPACE, "key"), Some(extended.put));
}

fn commit_survives_reopening(t: &Fixture) {
    let first =
        change("key", Expect::Absent, value("first").due(t.now()).forget_at(t.now() + Register::LONGEST));
    t.make(first.clone());

    t.reopen();

    assert_eq!(t.find_register(SPACE, "key"), Some(first.put.clone()));
    assert_eq!(t.commit(first), Committed::Again);
}
