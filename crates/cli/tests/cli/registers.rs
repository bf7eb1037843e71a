//! Registers: small values that processes agree on.

use gristmill::backend::Call;
use gristmill::{Change, Client, Committed, Expect, Name, Register, Sqlite, Timestamp};
use serde_json::{Value, json};

use crate::program::Home;

/// Writes registers to the store of a home, also in spaces that users do not write to.
fn write(home: &Home, changes: impl IntoIterator<Item = Change>) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let client = Client::new(Sqlite::open(home.path("jobs.db")).expect("the store opens"));
        let changes = changes.into_iter().collect();
        let committed = client.backend().commit(Call::new(), changes).await.expect("the store works");
        assert!(committed.iter().all(|one| matches!(one, Committed::Done(_))), "{committed:?}");
    });
}

fn change(space: &str, key: impl Into<Vec<u8>>, put: Register) -> Change {
    Change::new(Name::new(space).expect("a name"), key.into(), Expect::Absent, put)
}

fn value() -> Register {
    Register::new(r#"{"v":1,"rate":1.50}"#)
}

fn keys(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["key"].as_str().expect("a key")).collect()
}

#[test]
fn a_register_is_listed_and_shown() {
    let home = Home::new();
    let due = Timestamp::from_millis(1_900_000_000_000);
    let put = value().due(due);
    write(&home, [change("x.rates", "eu.vat", put.clone()), change("x.ratesb", "eu.vat", value())]);
    let listed = home.ok(&["registers", "list", "x.rates", "--json"]);
    assert_eq!(
        listed.stdout.trim(),
        format!(
            r#"{{"space":"x.rates","key":"eu.vat","format":1,"stamp":"{}","due":"{due}","forget_at":null,"bytes":{}}}"#,
            put.stamp,
            put.value.len()
        )
    );
    let shown = home.ok(&["registers", "show", "x.rates", "eu.vat", "--json"]);
    assert!(shown.stdout.trim().ends_with(r#""value":{"v":1,"rate":1.50}}"#), "{}", shown.stdout);
    let text = home.ok(&["registers", "show", "x.rates", "eu.vat"]).stdout;
    for line in [format!("stamp         {}", put.stamp), "  \"rate\": 1.50".to_owned()] {
        assert!(text.contains(&line), "{text}");
    }
    let table = home.ok(&["registers", "list", "x.rates"]).stdout;
    assert!(table.starts_with("KEY") && table.lines().count() == 2, "{table}");
}

#[test]
fn a_list_of_registers_that_is_cut_goes_on_where_it_ended() {
    let home = Home::new();
    for hundred in 0..12 {
        let number = |number: u32| format!("k{hundred:02}{number:02}");
        write(&home, (0..100).map(|one| change("x.many", number(one), value())));
    }
    let all = home.ok(&["registers", "list", "x.many", "--json", "--limit", "2000"]);
    assert_eq!((all.ndjson().len(), all.stderr.as_str()), (1_200, ""));
    assert_eq!(home.ok(&["registers", "list", "x.many", "--json"]).ndjson().len(), 50);
    let some = ["registers", "list", "x.many", "--json", "--prefix", "k11", "--limit", "99"];
    let first = home.ok(&some);
    assert!(first.stderr.contains("--after 'k1198'"), "{}", first.stderr);
    let rest = home.ok(&[&some[..], &["--after", "k1198"]].concat());
    assert_eq!((keys(&rest.ndjson()), rest.stderr.as_str()), (vec!["k1199"], ""));
    assert_eq!(home.run(&["registers", "list", "x.many", "--limit", "0"]).code, 2);
}

#[test]
fn a_key_is_found_as_it_is_shown() {
    let home = Home::new();
    let bytes: [&[u8]; 4] = [b"-k", b"a\\b", b"k\x1b\xff", "é".as_bytes()];
    write(&home, bytes.map(|key| change("x.keys", key, value())));
    let listed = home.ok(&["registers", "list", "x.keys", "--json"]).ndjson();
    assert_eq!(keys(&listed), ["-k", "a\\\\b", "k\\x1b\\xff", "é"]);
    for (line, key) in listed.iter().zip(keys(&listed)) {
        let shown = home.ok(&["registers", "show", "x.keys", key, "--json"]).json();
        assert_eq!((&shown["key"], &shown["stamp"]), (&line["key"], &line["stamp"]));
    }
    let table = home.ok(&["registers", "list", "x.keys"]).stdout;
    assert!(table.contains("k\\x1b\\xff ") && table.contains("\na\\\\b "), "{table}");
    let wrong = home.run(&["registers", "show", "x.keys", "a\\b"]);
    assert_eq!(wrong.code, 2, "{}", wrong.stderr);
}

#[test]
fn a_value_of_a_newer_format_is_shown_as_it_is() {
    let home = Home::new();
    write(&home, [change("schedule", "nightly", Register::new(r#"{"v":99,"new":[true]}"#))]);
    let shown = home.ok(&["registers", "show", "schedule", "nightly", "--json"]).json();
    assert_eq!((&shown["format"], &shown["value"]), (&json!(99), &json!({"v": 99, "new": [true]})));
    let text = home.ok(&["registers", "show", "schedule", "nightly"]).stdout;
    assert!(text.ends_with("value\n  {\n    \"v\": 99,\n    \"new\": [\n      true\n    ]\n  }\n"), "{text}");
}

#[test]
fn a_register_that_is_not_there_ends_with_code_3() {
    let home = Home::new();
    home.ok(&["migrate"]);
    let empty = home.ok(&["registers", "list", "x.rates"]);
    assert_eq!((empty.stdout.as_str(), empty.stderr.as_str()), ("", "no register of `x.rates` matches\n"));
    write(&home, [change("x.rates", "eu.vat", value())]);
    for verb in ["show", "delete"] {
        let near = home.run(&["registers", verb, "x.rates", "eu.vaat"]);
        assert_eq!((near.code, near.stdout.as_str()), (3, ""), "{}", near.stderr);
        assert_eq!(
            near.stderr,
            "error: there is no register `eu.vaat` in `x.rates`\nhint: did you mean `eu.vat`?\n"
        );
        let far = home.run(&["registers", verb, "x.other", "eu.vat"]);
        assert_eq!(far.code, 3);
        assert!(far.stderr.contains("`gristmill registers list x.other` shows"), "{}", far.stderr);
    }
}

#[test]
fn a_register_of_any_space_is_deleted_when_that_is_confirmed() {
    let home = Home::new();
    write(&home, [change("x.rates", "eu", value()), change("schedule", "nightly", value())]);
    for (space, key) in [("x.rates", "eu"), ("schedule", "nightly")] {
        let delete = ["registers", "delete", space, key];
        let dry = home.ok(&[&delete[..], &["--dry-run"]].concat());
        assert!(
            dry.stderr.contains(&format!("would delete register `{key}` in `{space}`")),
            "{}",
            dry.stderr
        );
        let asked = home.run(&delete);
        assert_eq!(asked.code, 4, "{}", asked.stderr);
        assert!(asked.stderr.contains("not confirmed"), "{}", asked.stderr);
        home.ok(&["registers", "show", space, key]);
        let deleted = home.ok(&[&delete[..], &["--yes"]].concat());
        assert!(deleted.stderr.ends_with(&format!("deleted register `{key}` in `{space}`\n")));
        assert_eq!(home.run(&["registers", "show", space, key]).code, 3);
        assert_eq!(home.run(&[&delete[..], &["--yes"]].concat()).code, 3);
    }
    // A deleted register is absent for the next writer.
    write(&home, [change("schedule", "nightly", value())]);
}

#[test]
fn registers_of_a_store_that_is_not_there_are_no_reason_to_make_it() {
    let home = Home::new();
    for words in [&["list", "x.a"][..], &["show", "x.a", "k"], &["delete", "x.a", "k", "--yes"]] {
        assert_eq!(home.run(&[&["registers"], words].concat()).code, 5, "{words:?}");
    }
    assert_eq!(home.run(&["registers", "list", "two words"]).code, 2);
    assert!(!home.path("jobs.db").exists());
}
