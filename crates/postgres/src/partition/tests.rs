//! How many partitions there are, whatever the retentions.

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);

/// The most partitions there are at a time within so many days, when each stays for so long after it is past.
fn most_partitions(days: u32, stays: Duration) -> usize {
    let start = Timestamp::from_millis(1_767_225_600_000);
    let mut known: Vec<Partition> = Vec::new();
    let mut most = 0;
    for hour in 0..days * 24 {
        let now = start + HOUR * hour;
        while let Some(next) = next_ahead(&known, now) {
            assert!(known.iter().all(|other| other.to <= next.from || next.to <= other.from), "they overlap");
            known.push(next);
        }
        most = most.max(known.len());
        assert!(
            known.len() >= MOST || known.iter().any(|partition| partition.contains(now + WIDTH)),
            "the next hours are covered"
        );
        known.retain(|partition| partition.to + Retention::default().completed + stays > now);
    }
    most
}

#[test]
fn the_number_of_partitions_is_bounded_whatever_the_retentions() {
    const DAY: Duration = Duration::from_secs(24 * 3_600);
    let most = [0, 7, 30, 180, 365, 3_650].map(|days| most_partitions(days.max(100) + 50, DAY * days));
    assert!(most[0] <= 7 && most[1] <= 10 && most[2] <= 12, "{most:?}");
    assert!(most.iter().all(|number| *number <= MOST), "{most:?}");
}

#[test]
fn a_partition_that_lies_ahead_is_not_covered_twice() {
    let now = Timestamp::from_millis(1_767_225_600_000);
    let later = Partition { from: now + WIDTH, to: now + 2 * WIDTH };
    let next = next_ahead(&[later], now).expect("the present is not covered");
    assert_eq!(next, Partition { from: now, to: now + WIDTH });
}
