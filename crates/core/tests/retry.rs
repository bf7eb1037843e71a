//! Delays, from the first attempt to the last that can be counted.

use std::time::Duration;

use gristmill_core::{Args, IdSource, Jitter, JobOptions, RetryPolicy, Timestamp};

const SECOND: Duration = Duration::from_secs(1);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Every kind of backoff with extreme and invalid values.
fn extremes() -> Vec<RetryPolicy> {
    let durations = [Duration::ZERO, Duration::from_nanos(1), SECOND, YEAR, Duration::MAX];
    let factors = [f64::NAN, f64::NEG_INFINITY, -2.0, 0.0, 1.0, 2.0, f64::MAX, f64::INFINITY];
    let mut policies = vec![RetryPolicy::table(vec![]), RetryPolicy::table(durations.to_vec())];
    for base in durations {
        policies.push(RetryPolicy::fixed(base));
        for cap in durations {
            policies.push(RetryPolicy::linear(base, cap));
            policies.extend(factors.map(|factor| RetryPolicy::exponential(base, factor, cap)));
        }
    }
    policies
}

#[test]
fn no_attempt_of_any_policy_overflows() {
    let jitters = [Jitter::None, Jitter::Percent(0), Jitter::Percent(255), Jitter::Full];
    for policy in extremes() {
        for jitter in jitters {
            let policy = policy.clone().with_jitter(jitter);
            for attempt in (0..100).chain((100..=u16::MAX).step_by(997)).chain([u16::MAX]) {
                for random in [0.0, 0.5, 1.0 - f64::EPSILON, 1.0, f64::NAN, -1.0] {
                    let _ = policy.delay(attempt, random);
                }
            }
        }
    }
}

#[test]
fn delays_never_shrink_from_attempt_to_attempt_nor_pass_the_cap() {
    let cap = Duration::from_secs(6 * 3600);
    for policy in [
        RetryPolicy::exponential(SECOND, 2.0, cap),
        RetryPolicy::exponential(SECOND, 1.1, cap),
        RetryPolicy::exponential(SECOND, -7.0, cap),
        RetryPolicy::linear(SECOND, cap),
    ] {
        let policy = policy.without_jitter();
        let delays: Vec<Duration> = (1..=u16::MAX).map(|attempt| policy.delay(attempt, 0.0)).collect();
        assert!(delays.windows(2).all(|pair| pair[0] <= pair[1]), "{policy:?}");
        assert!(delays[0] == SECOND && delays.iter().all(|delay| *delay <= cap), "{policy:?}");
    }
}

#[test]
fn jitter_never_leaves_its_bounds() {
    let policies = [Jitter::Percent(10), Jitter::Percent(100), Jitter::Full]
        .map(|jitter| RetryPolicy::fixed(100 * SECOND).with_jitter(jitter));
    let bounds = [(90, 110), (0, 200), (0, 100)];
    for (policy, (least, most)) in policies.iter().zip(bounds) {
        for step in 0..=1_000 {
            let delay = policy.delay(1, f64::from(step) / 1_000.0).as_secs_f64();
            let (least, most) = (f64::from(least), f64::from(most));
            assert!((least - 1e-6..=most + 1e-6).contains(&delay), "{policy:?} gives {delay}");
        }
    }
}

/// A rescue reads the policy from the store: what cannot be written there is refused when the job is
/// enqueued.
#[test]
fn a_policy_that_cannot_be_stored_is_refused() {
    let ids = IdSource::new();
    let prepare = |policy| {
        JobOptions::new().retry(policy).prepare(ids.next(Timestamp::EPOCH), "kind", Args::empty()).is_ok()
    };
    for factor in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(!prepare(RetryPolicy::exponential(SECOND, factor, YEAR)), "{factor} was taken");
    }
    assert!(!prepare(RetryPolicy::table(vec![SECOND; RetryPolicy::MAX_TABLE + 1])));
    assert!(prepare(RetryPolicy::table(vec![SECOND; RetryPolicy::MAX_TABLE])));
    assert!(prepare(RetryPolicy::exponential(Duration::MAX, f64::MAX, Duration::MAX)));
}
