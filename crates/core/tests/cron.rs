//! Cron rules in time zones: a table of edges, and ten years of many rules against a program in another
//! language (`cron/oracle.py`).

use gristmill_core::{Cadence, Timestamp};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The instants from one on and before another.
fn fires(rule: &str, zone: &str, from: Timestamp, before: Timestamp) -> Vec<Timestamp> {
    let cadence = Cadence::cron(rule, zone).expect("it is a cadence");
    let mut last = from.offset_millis(-1);
    std::iter::from_fn(|| {
        let next = cadence.next_after(last, from)?;
        assert!(next > last, "{rule} in {zone} stands still at {last}");
        last = next;
        (next < before).then_some(next)
    })
    .collect()
}

#[test]
fn a_rule_follows_the_clocks_of_its_zone() {
    let stockholm = "Europe/Stockholm";
    let cases: [Case<'_>; 8] = [
        // The hour from 2 to 3 is left out on 2025-03-30 and comes twice on 2025-10-26.
        ("30 2 * * *", stockholm, "2025-03-29T23:00:00Z", "2025-03-30T22:00:00Z", &["2025-03-30T01:00:00Z"]),
        ("30 2 * * *", stockholm, "2025-10-25T22:00:00Z", "2025-10-26T23:00:00Z", &["2025-10-26T00:30:00Z"]),
        (
            "0,30 1,2,3 * * *",
            stockholm,
            "2025-03-29T23:00:00Z",
            "2025-03-30T22:00:00Z",
            &["2025-03-30T00:00:00Z", "2025-03-30T00:30:00Z", "2025-03-30T01:00:00Z", "2025-03-30T01:30:00Z"],
        ),
        (
            "*/15 * * * *",
            stockholm,
            "2025-10-25T23:45:00Z",
            "2025-10-26T02:00:01Z",
            &[
                "2025-10-25T23:45:00Z",
                "2025-10-26T00:00:00Z",
                "2025-10-26T00:15:00Z",
                "2025-10-26T00:30:00Z",
                "2025-10-26T00:45:00Z",
                "2025-10-26T01:00:00Z",
                "2025-10-26T01:15:00Z",
                "2025-10-26T01:30:00Z",
                "2025-10-26T01:45:00Z",
                "2025-10-26T02:00:00Z",
            ],
        ),
        (
            "0 * * * *",
            stockholm,
            "2025-03-30T00:00:00Z",
            "2025-03-30T01:30:00Z",
            &["2025-03-30T00:00:00Z", "2025-03-30T01:00:00Z"],
        ),
        // Half an hour, at 2:00.
        (
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T14:00:00Z",
            "2026-10-04T12:00:00Z",
            &["2026-10-03T15:30:00Z"],
        ),
        (
            "45 1 * * *",
            "Australia/Lord_Howe",
            "2026-04-04T12:00:00Z",
            "2026-04-05T12:00:00Z",
            &["2026-04-04T14:45:00Z"],
        ),
        // A day that does not exist.
        (
            "0 9 * * *",
            "Pacific/Apia",
            "2011-12-29T12:00:00Z",
            "2012-01-01T00:00:00Z",
            &["2011-12-29T19:00:00Z", "2011-12-30T19:00:00Z", "2011-12-31T19:00:00Z"],
        ),
    ];
    check(&cases);
}

#[test]
fn a_rule_names_days_by_month_and_week() {
    check(&[
        ("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", "2029-01-01T00:00:00Z", &["2028-02-29T00:00:00Z"]),
        // Either, and both: the second begins with `*`.
        (
            "0 0 13 * 5",
            "UTC",
            "2026-08-10T00:00:00Z",
            "2026-08-22T00:00:00Z",
            &["2026-08-13T00:00:00Z", "2026-08-14T00:00:00Z", "2026-08-21T00:00:00Z"],
        ),
        (
            "0 0 */2 * 1",
            "UTC",
            "2026-08-01T00:00:00Z",
            "2026-09-01T00:00:00Z",
            &["2026-08-03T00:00:00Z", "2026-08-17T00:00:00Z", "2026-08-31T00:00:00Z"],
        ),
    ]);
}

/// A rule, a zone, from when on, before when, and the instants.
type Case<'c> = (&'c str, &'c str, &'c str, &'c str, &'c [&'c str]);

fn check(cases: &[Case<'_>]) {
    for (rule, zone, from, before, expected) in cases {
        let expected: Vec<Timestamp> = expected.iter().map(|text| at(text)).collect();
        assert_eq!(fires(rule, zone, at(from), at(before)), expected, "{rule} in {zone}");
    }
}

#[test]
fn ten_years_of_rules_fire_as_another_program_says() {
    let lines: Vec<&str> = include_str!("cron/expected.txt").lines().collect();
    // Half of them each; neighbours take equally long.
    let differences: Vec<String> = std::thread::scope(|scope| {
        let half = |part: usize| {
            let lines = &lines;
            scope.spawn(move || {
                lines.iter().skip(part).step_by(2).filter_map(|line| difference(line)).collect()
            })
        };
        let halves: Vec<_> = [0, 1].map(half).into_iter().collect();
        halves
            .into_iter()
            .flat_map(|half| half.join().unwrap_or_else(|_| vec!["a panic".to_owned()]))
            .collect()
    });
    assert!(differences.is_empty(), "{} of {}:\n{}", differences.len(), lines.len(), differences.join("\n"));
    assert!(lines.len() >= 3_500, "{}", lines.len());
}

/// Where a rule fires otherwise in a zone and a year than the other program says.
fn difference(line: &str) -> Option<String> {
    let [rule, zone, year, count, hash] = line.split('|').collect::<Vec<_>>()[..] else {
        return Some(format!("{line}: not five columns"));
    };
    let year: i16 = year.parse().expect("a year");
    let start = |year: i16| at(&format!("{year}-01-01T00:00:00Z"));
    let found = fires(rule, zone, start(year), start(year + 1));
    let is_same =
        (found.len().to_string(), format!("{:016x}", hash_of(&found))) == (count.to_owned(), hash.to_owned());
    (!is_same).then(|| format!("{rule} in {zone}, {year}: {} against {count}", found.len()))
}

/// FNV-1a over the seconds.
fn hash_of(instants: &[Timestamp]) -> u64 {
    instants
        .iter()
        .flat_map(|at| (at.as_millis() / 1_000).to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn what_is_wrong_with_a_rule_is_named() {
    let cases = [
        ("0 24 * * *", "UTC", "hour 24 is not 0 to 23"),
        ("0 22-2 * * *", "UTC", "hour 22-2 goes backwards; write 22-23,0-2"),
        ("* * *", "UTC", "3 fields; 5 are expected"),
        ("* * * * * * *", "UTC", "7 fields"),
        ("", "UTC", "0 fields"),
        ("0 0 31 2 *", "UTC", "never fires"),
        ("0 0 0 * *", "UTC", "day 0 is not 1 to 31"),
        ("0 0 L-31 * *", "UTC", "no month has a day L-31"),
        ("0 0 * FOO *", "UTC", "month `FOO` is no number"),
        ("0 0 * * 5#6", "UTC", "not 1 to 5"),
        ("*/0 * * * *", "UTC", "the step of minute */0 is not 1 to 59"),
        ("*/90 * * * *", "UTC", "the step of minute */90 is not 1 to 59"),
        ("0 +5 * * *", "UTC", "hour `+5` is no number"),
        ("0 0 ? * ?x", "UTC", "weekday"),
        ("@fortnightly", "UTC", "@weekly"),
        ("@reboot", "UTC", "run on its start"),
        ("@every 0s", "UTC", "1 s to 366 days"),
        ("@every", "UTC", "@every with a duration"),
        ("0 0 * * *", "Europe/Stokholm", "did you mean `Europe/Stockholm`"),
        ("CRON_TZ=Mars/Olympus 0 0 * * *", "UTC", "`Mars/Olympus` is unknown"),
    ];
    for (rule, zone, why) in cases {
        let error = Cadence::cron(rule, zone).expect_err(rule).to_string();
        assert!(error.contains(why) && error.contains(rule), "{rule}: {error}");
    }
}

#[test]
fn a_rule_may_name_its_zone() {
    let midnight = |rule| fires(rule, "UTC", at("2026-01-01T00:00:00Z"), at("2026-01-02T00:00:00Z"));
    assert_eq!(midnight("CRON_TZ=America/New_York 0 0 * * *"), [at("2026-01-01T05:00:00Z")]);
    assert_eq!(midnight("TZ=Asia/Kathmandu 0 0 * * *"), [at("2026-01-01T18:15:00Z")]);
}

#[test]
fn every_counts_from_its_anchor_for_ever() {
    let every = Cadence::cron("@every 90s", "UTC").expect("it is a cadence");
    let anchor = at("2026-01-01T00:00:07Z");
    assert_eq!(every.next_after(at("2025-01-01T00:00:00Z"), anchor), Some(anchor));
    assert_eq!(every.next_after(anchor, anchor), Some(at("2026-01-01T00:01:37Z")));
    let later = every.next_after(at("2027-03-04T05:06:07.123Z"), anchor).expect("there is one");
    assert_eq!((later.as_millis() - anchor.as_millis()) % 90_000, 0);
    assert_eq!(every.next_after(Timestamp::MAX, anchor), None);
}
