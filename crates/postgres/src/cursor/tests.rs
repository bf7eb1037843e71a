use super::*;

const QUEUE: i32 = 1;
const ALL: (Priority, Priority) = (Priority::FIRST, Priority::LAST);
/// Long enough that no look back is due for a minute.
const DEAR: Duration = Duration::from_secs(3);

fn at(run_at_ms: i64) -> Position {
    Position { run_at_ms, id: Uuid::from_u128(1) }
}

fn lower(cursors: &Cursors, run_at_ms: i64) {
    cursors.lower(QUEUE, 0, run_at_ms, at(run_at_ms).id);
}

fn begin(cursors: &Cursors, now: Instant) -> Scan<'_> {
    cursors.begin(QUEUE, ALL, now)
}

/// Where the scan begins at priority 0.
fn start(scan: &Scan<'_>) -> Position {
    start_of(scan, 0)
}

fn start_of(scan: &Scan<'_>, priority: i16) -> Position {
    scan.lanes().find(|(lane, _)| *lane == priority).expect("a lane").1
}

/// A queue under load whose fetches go on behind `run_at_ms` at priority 0, and the time.
fn under_load(cursors: &Cursors, run_at_ms: i64) -> Instant {
    let mut now = Instant::now();
    for _ in [Reach::Start, Reach::Back] {
        let scan = begin(cursors, now);
        now += DEAR;
        scan.end(now, Found::Enough, &[(0, at(run_at_ms))]);
    }
    assert_eq!(start(&begin_and_end(cursors, now)), at(run_at_ms));
    now
}

/// Begins a fetch that finds as much as it wanted, but does not say where.
fn begin_and_end(cursors: &Cursors, now: Instant) -> Scan<'_> {
    let scan = begin(cursors, now);
    begin(cursors, now).end(now, Found::Enough, &[]);
    scan
}

#[test]
fn a_fetch_goes_on_behind_the_jobs_of_the_one_before() {
    let cursors = Cursors::default();
    let now = under_load(&cursors, 100_000);
    begin(&cursors, now).end(now, Found::Enough, &[(0, at(100_500))]);
    assert_eq!(start(&begin(&cursors, now)), at(100_500));
}

#[test]
fn without_load_a_fetch_begins_at_the_start() {
    let cursors = Cursors::default();
    let now = under_load(&cursors, 100_000);
    begin(&cursors, now).end(now, Found::TooLittle, &[(0, at(100_500))]);
    assert_eq!(start(&begin(&cursors, now)), Position::START);
}

/// An old snapshot keeps all dead entries: a fetch that finds too little must not walk over them each time.
#[test]
fn where_looking_at_all_is_dear_a_short_fetch_does_not_look_before_its_position() {
    let cursors = Cursors::default();
    let mut now = under_load(&cursors, 100_000);
    let scan = begin(&cursors, now);
    assert!(scan.lanes_before().any(|lane| lane == (0, at(100_000))));
    now += DEAR;
    scan.end(now, Found::TooLittle, &[(0, at(100_500))]);

    let next = begin(&cursors, now);
    assert_eq!((start(&next), next.lanes_before().count()), (at(100_500), 0));
    next.end(now, Found::TooLittle, &[]);

    now += AT_THE_LATEST;
    assert_eq!(start(&begin(&cursors, now)), Position::START);
}

#[test]
fn once_it_is_cheap_again_every_fetch_looks_at_all() {
    let cursors = Cursors::default();
    let mut now = under_load(&cursors, 100_000);
    let scan = begin(&cursors, now);
    now += DEAR;
    scan.end(now, Found::TooLittle, &[]);
    now += AT_THE_LATEST;
    begin(&cursors, now).end(now, Found::TooLittle, &[]);

    assert_eq!(start(&begin(&cursors, now)), Position::START);
}

#[test]
fn a_job_put_back_lowers_the_position_to_just_before_it() {
    let cursors = Cursors::default();
    let now = under_load(&cursors, 100_000);
    lower(&cursors, 50_000);
    let begins = start(&begin(&cursors, now));
    assert!(begins < at(50_000) && begins > at(49_999), "{begins:?}");
}

#[test]
fn a_job_of_another_priority_leaves_the_position() {
    let cursors = Cursors::default();
    let now = under_load(&cursors, 100_000);
    cursors.lower(QUEUE, -10, 50_000, Uuid::nil());
    assert_eq!(start(&begin(&cursors, now)), at(100_000));
}

#[test]
fn a_new_job_behind_the_position_leaves_it() {
    let cursors = Cursors::default();
    let now = under_load(&cursors, 100_000);
    lower(&cursors, 200_000);
    assert_eq!(start(&begin(&cursors, now)), at(100_000));
}

#[test]
fn a_fetch_begins_behind_the_jobs_of_one_that_has_not_committed() {
    let cursors = Cursors::default();
    let now = under_load(&cursors, 100_000);
    let first = begin(&cursors, now);
    first.reached([(0, at(100_400)), (0, at(100_500)), (3, at(7))].into_iter());
    let second = begin(&cursors, now);
    assert_eq!((start(&second), start_of(&second, 3)), (at(100_500), at(7)));
    second.end(now, Found::Enough, &[(0, at(101_000))]);
    drop(first);
    assert_eq!(start(&begin(&cursors, now)), at(100_000), "it was rolled back");
}

#[test]
fn what_a_fetch_has_reached_does_not_pass_a_job_that_was_put_back_meanwhile() {
    let cursors = Cursors::default();
    let now = under_load(&cursors, 100_000);
    let scan = begin(&cursors, now);
    lower(&cursors, 50_000);
    scan.reached([(0, at(101_000))].into_iter());
    assert!(start(&begin(&cursors, now)) < at(50_000));
}

/// A retry during a fetch: the fetch has passed the place already and must not carry the position over it.
#[test]
fn a_fetch_in_flight_does_not_pass_a_job_that_was_put_back_meanwhile() {
    let cursors = Cursors::default();
    let now = under_load(&cursors, 100_000);
    let scan = begin(&cursors, now);
    lower(&cursors, 50_000);
    scan.end(now, Found::Enough, &[(0, at(101_000))]);
    assert!(start(&begin(&cursors, now)) < at(50_000));
}

/// New jobs come in all the time; they must not hold the positions of the fetches back.
#[test]
fn a_fetch_in_flight_advances_to_the_first_job_that_came_meanwhile() {
    let cursors = Cursors::default();
    let now = under_load(&cursors, 100_000);
    let scan = begin(&cursors, now);
    lower(&cursors, 100_800);
    lower(&cursors, 200_000);
    scan.end(now, Found::Enough, &[(0, at(101_000))]);
    let begins = start(&begin(&cursors, now));
    assert!(begins < at(100_800) && begins > at(100_799), "{begins:?}");
}

#[test]
fn a_fetch_that_began_after_a_job_was_put_back_passes_it() {
    let cursors = Cursors::default();
    let now = under_load(&cursors, 100_000);
    let before = begin(&cursors, now);
    lower(&cursors, 50_000);
    begin(&cursors, now).end(now, Found::Enough, &[(0, at(101_000))]);
    before.end(now, Found::Enough, &[(0, at(100_500))]);
    assert_eq!(start(&begin(&cursors, now)), at(101_000));
}

#[test]
fn a_fetch_that_was_rolled_back_is_begun_again_where_it_began() {
    let cursors = Cursors::default();
    let now = under_load(&cursors, 100_000);
    let lost = begin(&cursors, now);
    begin(&cursors, now).end(now, Found::Enough, &[(0, at(102_000))]);
    drop(lost);
    assert_eq!(start(&begin(&cursors, now)), at(100_000));
}

#[test]
fn a_fetch_in_flight_does_not_pass_what_another_lost() {
    let cursors = Cursors::default();
    let now = under_load(&cursors, 100_000);
    let (lost, other) = (begin(&cursors, now), begin(&cursors, now));
    drop(lost);
    other.end(now, Found::Enough, &[(0, at(102_000))]);
    assert_eq!(start(&begin(&cursors, now)), at(100_000));
}

#[test]
fn of_two_fetches_the_farther_one_counts() {
    let cursors = Cursors::default();
    let now = under_load(&cursors, 100_000);
    let (first, second) = (begin(&cursors, now), begin(&cursors, now));
    second.end(now, Found::Enough, &[(0, at(102_000))]);
    first.end(now, Found::Enough, &[(0, at(101_000))]);
    assert_eq!(start(&begin(&cursors, now)), at(102_000));
}

/// Another process committed late. What fetches look at from the start costs a fiftieth of the time.
#[test]
fn a_cheap_look_from_the_start_comes_back_soon() {
    let cursors = Cursors::default();
    let mut now = Instant::now();
    let scan = begin(&cursors, now);
    now += Duration::from_millis(5);
    scan.end(now, Found::Enough, &[(0, at(100_000))]);
    let back = begin(&cursors, now);
    assert_eq!(start(&back).run_at_ms, 100_000 - BACK_MS);
    now += Duration::from_millis(5);
    back.end(now, Found::Enough, &[(0, at(100_001))]);
    assert_eq!(start(&begin_and_end(&cursors, now)), at(100_001));
    assert_eq!(start(&begin(&cursors, now + Duration::from_millis(245))), Position::START);
}

#[test]
fn a_dear_look_from_the_start_comes_back_within_a_minute() {
    let cursors = Cursors::default();
    let now = under_load(&cursors, 100_000);
    assert_eq!(start(&begin_and_end(&cursors, now)), at(100_000));
    assert_eq!(start(&begin(&cursors, now + AT_THE_LATEST)), Position::START);
}

/// A look from the start that finds a full batch of late jobs has not seen all of them.
#[test]
fn a_look_back_that_had_enough_early_goes_on_from_there() {
    let cursors = Cursors::default();
    let now = under_load(&cursors, 100_000) + AT_THE_LATEST;
    let in_flight = begin(&cursors, now);
    let look = begin(&cursors, now);
    look.end(now + DEAR, Found::Enough, &[(0, at(20_000))]);
    in_flight.end(now + DEAR, Found::Enough, &[(0, at(101_000))]);
    let positions = cursors.lock().queues[&QUEUE].positions;
    assert_eq!(positions[10], at(20_000));
}

#[test]
fn a_look_back_keeps_the_position_of_priorities_it_has_passed() {
    let cursors = Cursors::default();
    let now = under_load(&cursors, 100_000) + AT_THE_LATEST;
    let look = begin(&cursors, now);
    look.end(now + DEAR, Found::Enough, &[(0, at(20_000)), (3, at(5))]);
    let positions = cursors.lock().queues[&QUEUE].positions;
    assert_eq!((positions[10], positions[13]), (at(100_000), at(5)));
}

#[test]
fn what_is_found_of_a_paused_queue_changes_nothing() {
    let cursors = Cursors::default();
    let now = under_load(&cursors, 100_000);
    begin(&cursors, now).end(now, Found::Unknown, &[]);
    assert_eq!(start(&begin(&cursors, now)), at(100_000));
}

#[test]
fn too_many_queues_are_forgotten_and_their_fetches_in_flight_too() {
    let cursors = Cursors::default();
    let now = under_load(&cursors, 100_000);
    let scan = begin(&cursors, now);
    for queue in 0..=i32::try_from(QUEUES).expect("small") {
        cursors.begin(queue + 2, ALL, now).end(now, Found::Enough, &[]);
    }
    scan.end(now, Found::Enough, &[(0, at(101_000))]);
    assert_eq!(start(&begin(&cursors, now)), Position::START);
    assert!(cursors.lock().queues.len() <= QUEUES);
}

#[test]
fn nothing_comes_before_the_start() {
    assert_eq!(Position::START.before(), Position::START);
    assert_eq!(
        Position { run_at_ms: 5, id: Uuid::nil() }.before(),
        Position { run_at_ms: 4, id: Uuid::max() }
    );
}
