//! Args, names, times and ids at the edges of what they may be.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gristmill_core::{
    Args, IdSource, InvalidArgs, JobId, MAX_ARGS_BYTES, MAX_ARGS_BYTES_HARD, MAX_ARGS_DEPTH, MAX_NAME_BYTES,
    MAX_UNIQUE_KEY_BYTES, Name, Output, Timestamp, UniqueKey,
};
use proptest::prelude::{Just, Strategy, any, proptest};
use proptest::{prop_assert, prop_assert_eq, prop_oneof};
use serde_json::Value;

fn refused(json: impl Into<Vec<u8>>) -> InvalidArgs {
    let json = json.into();
    Args::from_json(json.clone()).expect_err(&String::from_utf8_lossy(&json))
}

#[test]
fn args_end_at_their_size_to_the_byte() {
    let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    assert!(Args::from_json(text(MAX_ARGS_BYTES)).is_ok());
    assert!(matches!(refused(text(MAX_ARGS_BYTES + 1)), InvalidArgs::TooLarge { limit: MAX_ARGS_BYTES, .. }));
    assert!(Args::from_json_within(text(MAX_ARGS_BYTES_HARD), usize::MAX).is_ok());
    let above = Args::from_json_within(text(MAX_ARGS_BYTES_HARD + 1), usize::MAX);
    assert!(matches!(above, Err(InvalidArgs::TooLarge { limit: MAX_ARGS_BYTES_HARD, .. })));
    assert!(Args::encode(&"x".repeat(MAX_ARGS_BYTES)).is_err());
}

#[test]
fn args_end_at_their_depth_in_arrays_objects_and_both() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}"), (r#"[{"a":"#, "}]")] {
        let levels = open.matches(['[', '{']).count();
        let nested =
            |depth: usize| format!("{}1{}", open.repeat(depth / levels), close.repeat(depth / levels));
        assert!(Args::from_json(nested(MAX_ARGS_DEPTH)).is_ok(), "{open}");
        let deeper = refused(nested(MAX_ARGS_DEPTH + levels));
        assert!(matches!(deeper, InvalidArgs::TooDeep { .. }), "{open}: {deeper}");
    }
    // Brackets within a string are text.
    assert!(Args::from_json(format!("\"{}\"", "[".repeat(1_000))).is_ok());
    // A mebibyte of brackets costs no stack.
    assert!(Args::from_json("[".repeat(MAX_ARGS_BYTES)).is_err());
}

#[test]
fn args_keep_numbers_that_fit_64_bits_and_refuse_others() {
    for number in ["-0", "0.1", "1e308", "-1.5E+300", "9223372036854775808", "-9223372036854775808", "1e-400"]
    {
        assert!(Args::from_json(number).is_ok(), "{number} must be taken");
    }
    for number in ["18446744073709551616", "-9223372036854775809", "1e400", "-1E400", "1e309"] {
        assert!(matches!(refused(number), InvalidArgs::NumberOutOfRange { at: 0 }), "{number}");
    }
    assert!(Args::encode(&u64::MAX).is_ok() && Args::encode(&i64::MIN).is_ok());
    assert!(Args::encode(&(u128::from(u64::MAX) + 1)).is_err());
}

#[test]
fn args_refuse_text_that_some_store_would_change() {
    for json in [r#""\u0000""#, r#"{"a\u0000":1}"#, r#"["\\\u0000"]"#] {
        assert!(matches!(refused(json), InvalidArgs::Nul { .. }), "{json}");
    }
    for json in [r#""\ud800""#, r#""\ud800\u0041""#, r#""\ud800\ud800""#, r#""\udc00""#, r#""\uD83Dx""#] {
        assert!(matches!(refused(json), InvalidArgs::LoneSurrogate { .. }), "{json}");
    }
    let raw_nul = b"\"a\0b\"".to_vec();
    let bom = b"\xef\xbb\xbf{}".to_vec();
    let utf16 = b"\xff\xfe{\0}\0".to_vec();
    let overlong = b"\"\xc0\x80\"".to_vec();
    let surrogate = b"\"\xed\xa0\x80\"".to_vec();
    for bytes in [
        raw_nul,
        bom,
        utf16,
        overlong,
        surrogate,
        b"\"\\u12\"".to_vec(),
        b"\"\\x\"".to_vec(),
        b"NaN".to_vec(),
    ] {
        assert!(matches!(refused(bytes), InvalidArgs::NotJson(_)));
    }
    for json in [r#""\\u0000""#, r#""\\ud800""#, r#""\uD83D\uDE00""#, "\"\u{feff}\"", " \t\r\n{} "] {
        assert!(Args::from_json(json).is_ok(), "{json} must be taken");
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        "[^\u{0}]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map("[^\u{0}]{0,4}", inner, 0..5)
                .prop_map(|map| Value::from(serde_json::Map::from_iter(map))),
        ]
    })
}

proptest! {
    #[test]
    fn args_come_back_as_they_were_encoded(value in any_value()) {
        let args = Args::encode(&value)?;
        prop_assert_eq!(args.decode::<Value>()?, value);
        prop_assert!(Args::from_json(args.into_bytes()).is_ok());
    }

    #[test]
    fn args_that_are_taken_can_be_read(bytes in "[\\[\\]{}\",:0-9eE.\\-+\\\\u \u{0}atruflsn]{0,24}") {
        if let Ok(args) = Args::from_json(bytes) {
            prop_assert!(args.decode::<Value>().is_ok());
        }
    }

    #[test]
    fn an_output_is_json_whatever_it_was_made_of(bytes: Vec<u8>) {
        prop_assert!(Output::from_json(bytes).decode::<Value>().is_ok());
    }

    #[test]
    fn a_name_is_what_its_rule_says(text in "[ -~\u{e9}]{0,70}") {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/-".contains(&byte);
        let holds = (1..=MAX_NAME_BYTES).contains(&text.len()) && text.bytes().all(allowed);
        prop_assert_eq!(Name::new(&text).is_ok(), holds);
    }

    #[test]
    fn a_time_is_read_back(millis in 0..=Timestamp::MAX.as_millis()) {
        let at = Timestamp::from_millis(millis);
        prop_assert_eq!(at.to_string().parse::<Timestamp>()?, at);
    }

    #[test]
    fn time_saturates_and_never_wraps(millis: i64, by: u64, offset: i64) {
        let (at, by) = (Timestamp::from_millis(millis), Duration::from_nanos(by));
        prop_assert!(at + by >= at && at - by <= at);
        prop_assert!((Timestamp::EPOCH..=Timestamp::MAX).contains(&at.offset_millis(offset)));
        prop_assert!((at + by).since(at) <= by);
    }

    #[test]
    fn ids_grow_whatever_the_clock_does(times in proptest::collection::vec(any::<i64>(), 2..50)) {
        let source = IdSource::new();
        let ids: Vec<JobId> = times.into_iter().map(|at| source.next(Timestamp::from_millis(at))).collect();
        prop_assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
    }
}

#[test]
fn times_end_where_they_say() {
    assert_eq!(Timestamp::from_millis(i64::MIN), Timestamp::EPOCH);
    assert_eq!(Timestamp::from_millis(i64::MAX), Timestamp::MAX);
    assert_eq!(Timestamp::MAX + Duration::MAX, Timestamp::MAX);
    assert_eq!(Timestamp::MAX - Duration::MAX, Timestamp::EPOCH);
    assert_eq!(Timestamp::EPOCH.since(Timestamp::MAX), Duration::ZERO);
    assert_eq!(Timestamp::MAX.to_string(), "9999-12-30T22:00:00.000Z");
    assert_eq!("9999-12-30T22:00:00.9Z".parse::<Timestamp>().ok(), Some(Timestamp::MAX));
    assert_eq!("1969-12-31T23:59:59Z".parse::<Timestamp>().ok(), Some(Timestamp::EPOCH));
    let before: SystemTime = UNIX_EPOCH - Duration::from_secs(1);
    assert_eq!(Timestamp::from(before), Timestamp::EPOCH);
    for text in ["", "now", "2026-01-01", "2026-01-01T00:00:00", "9999-12-31T23:59:59Z", "1767225600000"] {
        assert!(text.parse::<Timestamp>().is_err(), "{text:?} must be refused");
    }
}

#[test]
fn unique_keys_take_any_text_up_to_their_bound() {
    for key in ["a", " ", "é'\"%\n\u{1f41f}", &"x".repeat(MAX_UNIQUE_KEY_BYTES)] {
        assert!(UniqueKey::new(key).is_ok(), "{key:?} must be taken");
    }
    for key in ["", "a\0b", &"x".repeat(MAX_UNIQUE_KEY_BYTES + 1), &"é".repeat(MAX_UNIQUE_KEY_BYTES / 2 + 1)]
    {
        assert!(UniqueKey::new(key).is_err(), "{key:?} must be refused");
    }
}

#[test]
fn ids_of_many_threads_never_meet_and_grow_for_each() {
    const EACH: usize = 20_000;
    let source = IdSource::new();
    let mint = |thread: i64| -> Vec<JobId> {
        // Each thread's clock jumps back and forth by itself.
        let at =
            |number: usize| Timestamp::from_millis(i64::try_from(number % 7).unwrap_or(0) * 1_000 * thread);
        (0..EACH).map(|number| source.next(at(number))).collect()
    };
    let batches: Vec<Vec<JobId>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=4).map(|thread| scope.spawn(move || mint(thread))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).collect()
    });
    assert!(batches.iter().all(|ids| ids.windows(2).all(|pair| pair[0] < pair[1])));
    let all: std::collections::BTreeSet<JobId> = batches.into_iter().flatten().collect();
    assert_eq!(all.len(), 4 * EACH);
}
