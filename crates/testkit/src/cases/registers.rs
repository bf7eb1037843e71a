//! Pages of registers.

use std::time::Duration;

use bytes::Bytes;
use gristmill_core::{Change, Committed, Expect, Register, RegisterQuery, RegisterSelect, Timestamp};

use crate::Fixture;
use crate::case::cases;
use crate::fixture::name;

cases! { "registers":
    registers_of_a_space_are_listed_by_key,
    registers_of_a_prefix_are_listed_alone,
    registers_of_keys_are_listed_once_each_by_key,
    registers_are_listed_by_due_time_and_key,
    registers_are_listed_the_last_one_first,
    registers_of_the_edge_of_bytes_are_listed,
    registers_that_are_forgotten_are_not_listed,
    registers_that_stay_are_listed_while_others_move,
    registers_of_large_values_end_a_page_early,
    registers_of_a_limit_of_zero_are_none,
    registers_that_are_pruned_in_rounds_all_go,
}

const SPACE: &str = "x.test";

fn query(select: RegisterSelect) -> RegisterQuery {
    RegisterQuery::new(name(SPACE), select)
}

fn value() -> Register {
    Register::new(r#"{"v":1}"#)
}

#[track_caller]
fn put_in(t: &Fixture, space: &str, key: &[u8], register: Register) {
    let change = Change::new(name(space), Bytes::copy_from_slice(key), Expect::Any, register);
    assert_eq!(t.must(|backend, call| backend.commit(call, vec![change])), [Committed::Done(Vec::new())]);
}

#[track_caller]
fn put(t: &Fixture, key: &str, register: Register) {
    put_in(t, SPACE, key.as_bytes(), register);
}

/// The keys of all pages, each of at most `limit`.
#[track_caller]
fn walk(t: &Fixture, mut query: RegisterQuery, limit: usize) -> Vec<Bytes> {
    let mut keys = Vec::new();
    query.limit = limit;
    for _ in 0..1_000 {
        let page = t.registers(query.clone());
        assert!(page.items.len() <= limit, "a page of {}", page.items.len());
        keys.extend(page.items.into_iter().map(|(key, _)| key));
        query.cursor = page.next;
        if query.cursor.is_none() {
            return keys;
        }
    }
    panic!("the list never came to its last page");
}

fn at(t: &Fixture, second: u64) -> Timestamp {
    t.now() + Duration::from_secs(second)
}

fn registers_of_a_space_are_listed_by_key(t: &Fixture) {
    for key in ["b", "a", "C", "ab", "a "] {
        put(t, key, value());
        put_in(t, "x.test.b", key.as_bytes(), value());
        put_in(t, "x.tes", key.as_bytes(), value());
    }

    for limit in [1, 2, 5, 100] {
        assert_eq!(walk(t, query(RegisterSelect::All), limit), ["C", "a", "a ", "ab", "b"]);
    }
    assert_eq!(walk(t, RegisterQuery::new(name("x.other"), RegisterSelect::All), 10), [""; 0]);
}

fn registers_of_a_prefix_are_listed_alone(t: &Fixture) {
    for key in ["a", "ab", "aba", "abb", "ac", "b"] {
        put(t, key, value());
    }

    let prefix = |prefix: &'static str| query(RegisterSelect::Prefix(Bytes::from_static(prefix.as_bytes())));
    for limit in [1, 2, 100] {
        assert_eq!(walk(t, prefix("ab"), limit), ["ab", "aba", "abb"]);
        assert_eq!(walk(t, prefix("x"), limit), [""; 0]);
        assert_eq!(walk(t, prefix(""), limit).len(), 6);
        assert_eq!(walk(t, prefix("ab").descending(), limit), ["abb", "aba", "ab"]);
    }
}

fn registers_of_keys_are_listed_once_each_by_key(t: &Fixture) {
    for key in ["a", "b", "c"] {
        put(t, key, value());
    }

    let keys = ["c", "a", "missing", "c"].map(|key| Bytes::from_static(key.as_bytes())).to_vec();
    for limit in [1, 100] {
        assert_eq!(walk(t, query(RegisterSelect::Keys(keys.clone())), limit), ["a", "c"]);
        assert_eq!(walk(t, query(RegisterSelect::Keys(keys.clone())).descending(), limit), ["c", "a"]);
        assert_eq!(walk(t, query(RegisterSelect::Keys(Vec::new())), limit), [""; 0]);
    }
}

/// RR10.
fn registers_are_listed_by_due_time_and_key(t: &Fixture) {
    for (key, due) in [("d", 1), ("b", 2), ("a", 2), ("c", 2), ("e", 3), ("f", 4)] {
        put(t, key, value().due(at(t, due)));
    }
    put(t, "never", value());

    for limit in [1, 2, 100] {
        let due = |second| walk(t, query(RegisterSelect::DueBefore(at(t, second))), limit);
        assert_eq!(due(4), ["d", "a", "b", "c", "e"]);
        assert_eq!(due(1), [""; 0]);
    }
}

fn registers_are_listed_the_last_one_first(t: &Fixture) {
    for (key, due) in [("a", 2), ("b", 1), ("c", 2)] {
        put(t, key, value().due(at(t, due)));
    }

    for limit in [1, 2, 100] {
        assert_eq!(walk(t, query(RegisterSelect::All).descending(), limit), ["c", "b", "a"]);
        let due = query(RegisterSelect::DueBefore(at(t, 9))).descending();
        assert_eq!(walk(t, due, limit), ["c", "a", "b"]);
    }
}

/// RR11.
fn registers_of_the_edge_of_bytes_are_listed(t: &Fixture) {
    let longest = [0xff; Register::MAX_KEY_BYTES];
    let keys: [&[u8]; 5] = [b"\0", b"\0\0", b"\xff", b"\xff\xff", &longest];
    for key in keys {
        put_in(t, SPACE, key, value().due(Timestamp::EPOCH));
    }

    for limit in [1, 100] {
        assert_eq!(walk(t, query(RegisterSelect::All), limit), keys);
        let prefix = Bytes::from_static(b"\xff");
        assert_eq!(walk(t, query(RegisterSelect::Prefix(prefix)), limit), keys[2..]);
        assert_eq!(walk(t, query(RegisterSelect::DueBefore(Timestamp::MAX)), limit), keys);
    }
}

/// RR6.
fn registers_that_are_forgotten_are_not_listed(t: &Fixture) {
    put(t, "stays", value().due(at(t, 0)));
    put(t, "goes", value().due(at(t, 0)).forget_at(at(t, 5)));
    let selects = [
        RegisterSelect::All,
        RegisterSelect::Prefix(Bytes::from_static(b"")),
        RegisterSelect::Keys(vec![Bytes::from_static(b"goes"), Bytes::from_static(b"stays")]),
        RegisterSelect::DueBefore(at(t, 9)),
    ];

    t.advance_just_below(Duration::from_secs(5));
    for select in selects.clone() {
        assert_eq!(walk(t, query(select), 10), ["goes", "stays"]);
    }
    t.advance(Duration::from_millis(1));
    for select in selects {
        assert_eq!(walk(t, query(select), 10), ["stays"]);
    }
}

/// RR10.
fn registers_that_stay_are_listed_while_others_move(t: &Fixture) {
    for number in 0..20 {
        put(t, &format!("{number:02}"), value().due(at(t, 10 + number)));
    }
    let mut due = query(RegisterSelect::DueBefore(at(t, 1_000))).limit(3);
    let mut seen: Vec<Bytes> = Vec::new();
    let mut moved = 0;
    loop {
        let page = t.registers(due.clone());
        seen.extend(page.items.into_iter().map(|(key, _)| key));
        due.cursor = page.next;
        if due.cursor.is_none() {
            break;
        }
        // One that was seen moves on, one that was not moves back.
        put(t, &format!("{moved:02}"), value().due(at(t, 500 + moved)));
        put(t, &format!("{:02}", 19 - moved), value().due(at(t, 0)));
        moved += 1;
    }

    for number in moved..20 - moved {
        let key = format!("{number:02}");
        assert_eq!(seen.iter().filter(|seen| **seen == key).count(), 1, "{key}");
    }
    for number in 0..moved {
        let key = format!("{number:02}");
        assert!((1..=2).contains(&seen.iter().filter(|seen| **seen == key).count()), "{key}");
    }
}

fn registers_of_large_values_end_a_page_early(t: &Fixture) {
    let large =
        || Register::new(format!(r#"{{"v":1,"t":"{}"}}"#, "x".repeat(Register::MAX_VALUE_BYTES - 14)));
    for number in 0..80 {
        put(t, &format!("{number:02}"), large());
    }

    let page = t.must(|backend, call| backend.list_registers(call, query(RegisterSelect::All)));

    assert_eq!(page.items.len(), RegisterQuery::MAX_BYTES / Register::MAX_VALUE_BYTES);
    assert!(page.next.is_some());
    assert_eq!(walk(t, query(RegisterSelect::All), RegisterQuery::MAX_LIMIT).len(), 80);
}

fn registers_of_a_limit_of_zero_are_none(t: &Fixture) {
    put(t, "key", value());

    let page = t.must(|backend, call| backend.list_registers(call, query(RegisterSelect::All).limit(0)));

    assert_eq!((page.items, page.next), (Vec::new(), None));
}

fn registers_that_are_pruned_in_rounds_all_go(t: &Fixture) {
    let forgotten: Vec<Change> = (0..5)
        .map(|key| Change::new(name(SPACE), format!("{key}"), Expect::Any, value().forget_at(t.now())))
        .collect();
    for change in &forgotten {
        t.make(change.clone());
    }
    t.advance(Register::KEPT_FORGOTTEN);

    let mut rounds = 1;
    while t.must(|backend, call| backend.prune(call, 2)).more {
        rounds += 1;
        assert!(rounds < 10, "the rounds do not end");
    }

    for mut change in forgotten {
        change.expect = Expect::Absent;
        assert_eq!(t.commit(change), Committed::Done(Vec::new()), "it was there still, and recognised");
    }
}
