//! One step of a history.

use std::num::NonZeroU16;
use std::time::Duration;

use gristmill_core::{Args, Decision, Ending, JobFilter, JobPatch, Verb};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any};
use proptest::{option, prop_oneof};

use super::shape::{JobShape, Pick, filter, priority, when};

/// How many workers a history has at most at once.
pub(super) const SLOTS: usize = 2;

/// One step of a history. What it names is chosen by [`Pick`]s among what is there when it is reached.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Enqueue(Vec<JobShape>),
    Register { slot: usize, second_kind: bool },
    Fetch(FetchShape),
    FetchAgain(Pick),
    Finish { items: Vec<FinishShape>, then_fetch: Option<FetchShape> },
    Record(Target, u8),
    Renew { slot: usize, forget: Option<Pick> },
    Retire { slot: usize },
    Verb(Verb, Vec<Pick>),
    Update(Vec<Pick>, JobPatch),
    Pause(bool),
    Resume(bool),
    Advance(Duration),
    Promote,
    Rescue,
    Prune,
    Audit,
    List { filter: JobFilter, newest_first: bool, limit: usize },
    Count { filter: JobFilter, cap: u64 },
    Workers,
}

/// A random fetch.
#[derive(Debug, Clone)]
pub(super) struct FetchShape {
    pub(super) slot: usize,
    pub(super) max: [usize; 2],
    pub(super) priorities: Option<(i64, i64)>,
}

/// The end of a random run.
#[derive(Debug, Clone)]
pub(super) struct FinishShape {
    pub(super) target: Target,
    pub(super) decision: Decision,
    pub(super) ending: Ending,
    pub(super) effects: Vec<JobShape>,
}

/// Which lease a worker shows.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target {
    /// One that holds.
    Running(Pick),
    /// Any that was ever granted.
    Ever(Pick),
    /// One that holds, with another token.
    Forged(Pick),
    /// What was sent before, once more, whole: its reply was lost.
    Again(Pick),
}

pub(super) fn any_op() -> impl Strategy<Value = Op> + Clone {
    let slot = 0..SLOTS;
    let picks = vec(Pick::any(), 1..3);
    prop_oneof![
        8 => vec(JobShape::any(), 1..4).prop_map(Op::Enqueue),
        6 => (slot.clone(), any::<bool>()).prop_map(|(slot, second_kind)| Op::Register { slot, second_kind }),
        12 => any_fetch().prop_map(Op::Fetch),
        2 => Pick::any().prop_map(Op::FetchAgain),
        12 => (vec(any_finish(), 1..4), option::weighted(0.3, any_fetch()))
            .prop_map(|(items, then_fetch)| Op::Finish { items, then_fetch }),
        1 => (any_target(), 0..=100_u8).prop_map(|(target, percent)| Op::Record(target, percent)),
        3 => (slot.clone(), option::weighted(0.4, Pick::any()))
            .prop_map(|(slot, forget)| Op::Renew { slot, forget }),
        1 => slot.prop_map(|slot| Op::Retire { slot }),
        4 => (Just(Verb::Cancel), picks.clone()).prop_map(|(verb, picks)| Op::Verb(verb, picks)),
        3 => (Just(Verb::Retry), picks.clone()).prop_map(|(verb, picks)| Op::Verb(verb, picks)),
        1 => (Just(Verb::Delete), picks.clone()).prop_map(|(verb, picks)| Op::Verb(verb, picks)),
        1 => (Just(Verb::ReleaseHold), picks.clone()).prop_map(|(verb, picks)| Op::Verb(verb, picks)),
        1 => (picks, any_patch()).prop_map(|(picks, patch)| Op::Update(picks, patch)),
        1 => any::<bool>().prop_map(Op::Pause),
        1 => any::<bool>().prop_map(Op::Resume),
        5 => prop_oneof![3 => Just(10_u64), 3 => Just(1_000), 2 => Just(20_000), 1 => Just(40_000), 1 => Just(3_600_000)]
            .prop_map(|ms| Op::Advance(Duration::from_millis(ms))),
        3 => Just(Op::Promote),
        3 => Just(Op::Rescue),
        1 => Just(Op::Prune),
        1 => Just(Op::Audit),
        1 => (filter(), any::<bool>(), 1..5_usize)
            .prop_map(|(filter, newest_first, limit)| Op::List { filter, newest_first, limit }),
        1 => (filter(), 0..5_u64).prop_map(|(filter, cap)| Op::Count { filter, cap }),
        1 => Just(Op::Workers),
    ]
}

fn any_fetch() -> impl Strategy<Value = FetchShape> + Clone {
    let priorities = option::weighted(0.2, prop_oneof![Just((-1, 0)), Just((0, 10)), Just((1, 1))]);
    (0..SLOTS, [0..4_usize, 0..4_usize], priorities).prop_map(|(slot, max, priorities)| FetchShape {
        slot,
        max,
        priorities,
    })
}

fn any_target() -> impl Strategy<Value = Target> + Clone {
    prop_oneof![
        7 => Pick::any().prop_map(Target::Running),
        2 => Pick::any().prop_map(Target::Ever),
        1 => Pick::any().prop_map(Target::Forged),
        3 => Pick::any().prop_map(Target::Again),
    ]
}

fn any_finish() -> impl Strategy<Value = FinishShape> + Clone {
    const LATER: Duration = Duration::from_secs(1);
    let ends = prop_oneof![
        4 => Just((Decision::Complete, Ending::Completed)),
        2 => Just((Decision::RetryAfter(Duration::ZERO), Ending::Failed)),
        2 => Just((Decision::RetryAfter(LATER), Ending::Timeout)),
        1 => Just((Decision::SnoozeAfter(Duration::ZERO), Ending::Snoozed)),
        1 => Just((Decision::SnoozeAfter(LATER), Ending::Snoozed)),
        1 => Just((Decision::Cancel, Ending::Cancelled)),
        1 => Just((Decision::Discard, Ending::Undecodable)),
        2 => Just((Decision::GiveBackAfter(Duration::ZERO), Ending::Released)),
        1 => Just((Decision::GiveBackAfter(LATER), Ending::Limited)),
        2 => Just((Decision::GiveBackAfter(60 * LATER), Ending::UnknownKind)),
    ];
    (any_target(), ends, vec(JobShape::any(), 0..2))
        .prop_map(|(target, (decision, ending), effects)| FinishShape { target, decision, ending, effects })
}

fn any_patch() -> impl Strategy<Value = JobPatch> + Clone {
    (
        option::of(any::<u16>()),
        option::weighted(0.3, -1..=1_i64),
        option::weighted(0.6, when()),
        option::weighted(0.3, 1..4_u16),
    )
        .prop_map(|(args, first, when, max_attempts)| {
            let mut patch = JobPatch::default();
            patch.args = args.map(|number| Args::from_stored(format!("[{number}]")));
            patch.priority = first.map(priority);
            patch.when = when;
            patch.max_attempts = max_attempts.and_then(NonZeroU16::new);
            patch
        })
}
