//! Args and options at the limits of what the outbox of every database takes.

use std::collections::BTreeMap;
use std::time::Duration;

use gristmill_core::{JobSpec, Retention, RetryPolicy};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// Args at the limits of what is taken, as they stand in a request.
pub const TAKEN_ARGS: [&str; 10] = [
    r#""null""#,
    r#""[18446744073709551615,-9223372036854775808]""#,
    r#""[12345678901234567890.5,1e30,-1.5E+308,1e-400]""#,
    r#""\"12345678901234567890123 1e400 [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"""#,
    r#""\"\\ud83d\\ude00 \\uD83D\\uDE00 \\\\ud800 \\\\u0000\"""#,
    r#""\"\\\\\\ud83d\\ude00\\\"[\"""#,
    r#""\"\ud83d\ude00\"""#,
    r#""[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]""#,
    r#""[[[[[[[[[[[[[[[{\"]\":[[[[[[[[[[[[[\"[[\",[1],2],3]]]]]]]]]]]]}]]]]]]]]]]]]]]]""#,
    r#""[{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}]""#,
];

/// Options at the limits of what is taken, without a unique key: each member of them that is known is kept as
/// it is given.
pub const TAKEN_OPTIONS: [&str; 27] = [
    "{}",
    r#"{"timeout_ms":1}"#,
    r#"{"timeout_ms":9223372036854775807}"#,
    r#"{"tags":[]}"#,
    r#"{"tags":["t0","t1","t2","t3","t4","t5","t6","t7","t8","t9","t10","t11","t12","t13","t14","t15","t16","t17","t18","t19","t20","t21","t22","t23","t24","t25","t26","t27","t28","t29","t30","t31"]}"#,
    r#"{"tags":["tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt"]}"#,
    r#"{"metadata":{}}"#,
    r#"{"metadata":{"n":[18446744073709551615,-9223372036854775808,1.5e308],"":null}}"#,
    r#"{"metadata":{"n":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}}"#,
    r#"{"retry":{"backoff":{"exponential":{"base":{"secs":1,"nanos":0},"factor":2.0,"cap":{"secs":1,"nanos":0}}},"jitter":"none"}}"#,
    r#"{"retry":{"backoff":{"exponential":{"base":{"secs":1,"nanos":0},"factor":0,"cap":{"secs":1,"nanos":0}}},"jitter":"none"}}"#,
    r#"{"retry":{"backoff":{"exponential":{"base":{"secs":1,"nanos":0},"factor":-1.5,"cap":{"secs":1,"nanos":0}}},"jitter":"none"}}"#,
    r#"{"retry":{"backoff":{"exponential":{"base":{"secs":1,"nanos":0},"factor":1.7976931348623157e308,"cap":{"secs":1,"nanos":0}}},"jitter":"none"}}"#,
    r#"{"retry":{"backoff":{"exponential":{"base":{"secs":1,"nanos":0},"factor":5e-324,"cap":{"secs":1,"nanos":0}}},"jitter":"none"}}"#,
    r#"{"retry":{"backoff":{"exponential":{"base":{"secs":1,"nanos":0},"factor":1e-400,"cap":{"secs":1,"nanos":0}}},"jitter":"none"}}"#,
    r#"{"retry":{"backoff":{"exponential":{"base":{"secs":1,"nanos":0},"factor":3,"cap":{"secs":1,"nanos":0}}},"jitter":"none"}}"#,
    r#"{"retry":{"backoff":{"exponential":{"base":{"secs":18446744073709551615,"nanos":999999999},"factor":2.0,"cap":{"secs":1,"nanos":0}}},"jitter":"none"}}"#,
    r#"{"retry":{"backoff":{"exponential":{"base":{"secs":1,"nanos":0},"factor":2.0,"cap":{"secs":1,"nanos":0}}},"jitter":"full"}}"#,
    r#"{"retry":{"backoff":{"exponential":{"base":{"secs":1,"nanos":0},"factor":2.0,"cap":{"secs":1,"nanos":0}}},"jitter":{"percent":0}}}"#,
    r#"{"retry":{"backoff":{"exponential":{"base":{"secs":1,"nanos":0},"factor":2.0,"cap":{"secs":1,"nanos":0}}},"jitter":{"percent":255}}}"#,
    r#"{"retry":{"backoff":{"linear":{"step":{"secs":1,"nanos":0},"cap":{"secs":1,"nanos":0}}},"jitter":"none"}}"#,
    r#"{"retry":{"backoff":{"fixed":{"secs":1,"nanos":0}},"jitter":"none"}}"#,
    r#"{"retry":{"backoff":{"table":[]},"jitter":"none"}}"#,
    r#"{"retry":{"backoff":{"table":[{"secs":1,"nanos":0},{"secs":1,"nanos":0}]},"jitter":"none"}}"#,
    r#"{"retention":{"completed":{"secs":0,"nanos":0},"cancelled":{"secs":1,"nanos":0},"discarded":{"secs":1,"nanos":0}}}"#,
    r#"{"retention":{"completed":{"secs":18446744073709551615,"nanos":999999999},"cancelled":{"secs":1,"nanos":0},"discarded":{"secs":1,"nanos":0}}}"#,
    r#"{"newer":{"of":[1e999,"\u00e4",null]}}"#,
];

/// Asserts that a spec has each member of options as it was given.
#[track_caller]
pub fn assert_kept(spec: &JobSpec, options: &str) {
    type Members = BTreeMap<String, Box<RawValue>>;
    fn read<T: DeserializeOwned>(members: &Members, name: &str) -> Option<T> {
        members.get(name).map(|json| serde_json::from_str(json.get()).expect(name))
    }
    let members: Members = serde_json::from_str(options).expect(options);
    assert_eq!(spec.retry.as_deref(), read::<RetryPolicy>(&members, "retry").as_ref(), "{options}");
    assert_eq!(spec.retention.as_deref(), read::<Retention>(&members, "retention").as_ref(), "{options}");
    assert_eq!(spec.timeout, read(&members, "timeout_ms").map(Duration::from_millis), "{options}");
    assert_eq!(spec.tags, read::<Vec<_>>(&members, "tags").unwrap_or_default(), "{options}");
    assert_eq!(spec.metadata, read(&members, "metadata").unwrap_or_default(), "{options}");
    assert_eq!(spec.unique_key.is_some(), members.contains_key("unique_key"), "{options}");
}
