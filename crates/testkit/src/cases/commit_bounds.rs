//! What a change of a register may hold.

use std::time::Duration;

use bytes::Bytes;
use gristmill_core::{Change, Committed, Expect, JobFilter, Register, RegisterQuery, RegisterSelect};

use crate::Fixture;
use crate::case::cases;
use crate::fixture::name;
use crate::fixture::register::{SPACE, change, made, value};

cases! { "commit_bounds":
    commit_keeps_spaces_and_keys_apart,
    commit_takes_values_and_keys_up_to_their_bounds,
    commit_refuses_what_is_no_value,
    commit_of_too_much_is_refused_whole,
    commit_of_nothing_is_nothing,
}

/// RR11.
fn commit_keeps_spaces_and_keys_apart(t: &Fixture) {
    let long = vec![0xff; Register::MAX_KEY_BYTES];
    let keys: [&[u8]; 8] = [b"k", b"K", b"k ", b" k", b"\0", b"k\0", "ké".as_bytes(), &long];
    let spaces = ["x.a", "x.a.b", "x.A", "x.ab"];
    let mut all = Vec::new();
    for space in spaces {
        for key in keys {
            let text = serde_json::json!(format!("{space} {key:?}"));
            let put = Register::new(format!(r#"{{"v":1,"text":{text}}}"#));
            all.push(Change::new(name(space), Bytes::copy_from_slice(key), Expect::Absent, put));
        }
    }

    for answer in t.commit_all(all.clone()) {
        assert_eq!(answer, Committed::Done(Vec::new()));
    }

    for change in all {
        let select = RegisterSelect::Keys(vec![change.key.clone()]);
        let query = RegisterQuery::new(change.space.clone(), select);
        let page = t.must(|backend, call| backend.list_registers(call, query));
        assert_eq!(page.items, [(change.key, change.put)]);
    }
}

/// RR13.
fn commit_takes_values_and_keys_up_to_their_bounds(t: &Fixture) {
    let sized = |bytes: usize| Register::new(format!(r#"{{"v":1,"t":"{}"}}"#, "x".repeat(bytes - 14)));
    let long_key = |bytes: usize| Bytes::from(vec![b'k'; bytes]);
    let with_key = |bytes: usize| Change::new(name(SPACE), long_key(bytes), Expect::Absent, value("v"));
    let far = Register::LONGEST;
    let changes = vec![
        change("largest", Expect::Absent, sized(Register::MAX_VALUE_BYTES)),
        change("larger", Expect::Absent, sized(Register::MAX_VALUE_BYTES + 1)),
        with_key(Register::MAX_KEY_BYTES),
        with_key(Register::MAX_KEY_BYTES + 1),
        with_key(0),
        change("far", Expect::Absent, value("v").forget_at(t.now() + far)),
        change("farther", Expect::Absent, value("v").forget_at(t.now() + far + Duration::from_millis(1))),
    ];

    let answers = t.commit_all(changes);

    let refused: Vec<&str> = answers
        .iter()
        .map(|answer| match answer {
            Committed::Refused { why } => why.split('`').nth(3).unwrap_or("nothing"),
            Committed::Done(_) => "",
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(refused, ["", "value", "", "key", "key", "", "forget_at"]);
    assert_eq!(
        t.find_register(SPACE, "largest").map(|register| register.value.len()),
        Some(Register::MAX_VALUE_BYTES)
    );
}

fn commit_refuses_what_is_no_value(t: &Fixture) {
    let wrong: [&[u8]; 13] = [
        b"",
        b"null",
        b"7",
        b"{}",
        br#"{"w":1}"#,
        br#"{"rate":7,"v":1}"#,
        br#"{ "v":1}"#,
        br#"{"v":"one"}"#,
        br#"{"v":1"#,
        br#"[{"v":1}]"#,
        br#"{"v":1}{"#,
        // Not UTF-8.
        b"{\"v\":1,\"t\":\"\xff\"}",
        b"{\"v\":1,\"\xc3\":2}",
    ];
    for wrong in wrong {
        let answer = t.commit(change("key", Expect::Absent, Register::new(wrong)));
        assert!(
            matches!(&answer, Committed::Refused { why } if why.contains("`value`")),
            "{wrong:?}: {answer:?}"
        );
    }
    assert_eq!(t.find_register(SPACE, "key"), None);
}

/// RR13.
fn commit_of_too_much_is_refused_whole(t: &Fixture) {
    let many = (0..=Change::MAX_CHANGES)
        .map(|key| Change::new(name(SPACE), format!("{key}"), Expect::Absent, value("v")));
    let jobs = (0..=Change::MAX_EFFECTS).map(|_| t.job()).collect();
    let calls =
        [many.collect(), vec![made("jobs").with_jobs(jobs)], vec![made("key"), made("other"), made("key")]];

    for changes in calls {
        let answer = t.ask(|backend, call| backend.commit(call, changes));
        let error = answer.expect_err("it is refused");
        assert_eq!(error.kind(), gristmill_core::BackendErrorKind::Refused, "{error}");
    }

    let query = RegisterQuery::new(name(SPACE), RegisterSelect::All);
    assert_eq!(t.must(|backend, call| backend.list_registers(call, query)).items, []);
    assert_eq!(t.count(JobFilter::new()), 0);
}

fn commit_of_nothing_is_nothing(t: &Fixture) {
    assert_eq!(t.commit_all(Vec::new()), []);
}
