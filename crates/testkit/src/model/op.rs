//! One step of a history.

use std::num::NonZeroU16;
use std::time::Duration;

use gristmill_core::{Args, Decision, Ending, JobPatch, Verb};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any};
use proptest::{option, prop_oneof};

use super::register::ChangeShape;
use super::shape::{FilterShape, JobShape, KindsShape, Pick, priority, when};
use crate::fixture::act::ALL;

/// How many workers a history has at most at once.
pub(super) const SLOTS: usize = 2;

/// One step of a history. What it names is chosen by [`Pick`]s among what is there when it is reached.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Enqueue(Vec<JobShape>),
    Register { slot: usize, kinds: KindsShape },
    Fetch(FetchShape),
    FetchAgain(Pick),
    Finish(Vec<FinishShape>),
    Record(Target, RecordShape),
    Renew { slot: usize, forget: Option<Pick> },
    Retire { slot: usize },
    Verb(Verb, Vec<Pick>),
    Everywhere { verb: Verb, filter: FilterShape, limit: usize },
    Update(Vec<Pick>, JobPatch),
    Pause(bool),
    Resume(bool),
    Advance(Duration),
    GoBack(Duration),
    Promote { limit: usize },
    Rescue { limit: usize },
    Prune { limit: usize },
    Audit,
    List { filter: FilterShape, newest_first: bool, limit: usize },
    Count { filter: FilterShape, cap: u64 },
    Workers,
    Commit(Vec<ChangeShape>),
    CommitAgain(Pick),
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
    /// Whether its handler was started.
    pub(super) started: bool,
}

/// What a random attempt wants kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct RecordShape {
    pub(super) percent: Option<u8>,
    pub(super) checkpoint: Option<u8>,
    pub(super) lines: u8,
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
        6 => (slot.clone(), KindsShape::any()).prop_map(|(slot, kinds)| Op::Register { slot, kinds }),
        12 => any_fetch().prop_map(Op::Fetch),
        2 => Pick::any().prop_map(Op::FetchAgain),
        12 => vec(any_finish(), 1..4).prop_map(Op::Finish),
        2 => (any_target(), any_record()).prop_map(|(target, shape)| Op::Record(target, shape)),
        3 => (slot.clone(), option::weighted(0.4, Pick::any()))
            .prop_map(|(slot, forget)| Op::Renew { slot, forget }),
        1 => slot.prop_map(|slot| Op::Retire { slot }),
        4 => (Just(Verb::Cancel), picks.clone()).prop_map(|(verb, picks)| Op::Verb(verb, picks)),
        3 => (Just(Verb::Retry), picks.clone()).prop_map(|(verb, picks)| Op::Verb(verb, picks)),
        1 => (Just(Verb::Delete), picks.clone()).prop_map(|(verb, picks)| Op::Verb(verb, picks)),
        1 => (Just(Verb::ReleaseHold), picks.clone()).prop_map(|(verb, picks)| Op::Verb(verb, picks)),
        1 => (any_verb(), FilterShape::any(), 1..5_usize)
            .prop_map(|(verb, filter, limit)| Op::Everywhere { verb, filter, limit }),
        1 => (picks, any_patch()).prop_map(|(picks, patch)| Op::Update(picks, patch)),
        1 => any::<bool>().prop_map(Op::Pause),
        1 => any::<bool>().prop_map(Op::Resume),
        5 => prop_oneof![3 => Just(10_u64), 3 => Just(1_000), 2 => Just(20_000), 1 => Just(40_000), 1 => Just(3_600_000)]
            .prop_map(|ms| Op::Advance(Duration::from_millis(ms))),
        1 => prop_oneof![Just(3_000_u64), Just(3_600_000)].prop_map(|ms| Op::GoBack(Duration::from_millis(ms))),
        3 => any_limit().prop_map(|limit| Op::Promote { limit }),
        3 => any_limit().prop_map(|limit| Op::Rescue { limit }),
        1 => any_limit().prop_map(|limit| Op::Prune { limit }),
        1 => Just(Op::Audit),
        1 => (FilterShape::any(), any::<bool>(), 1..5_usize)
            .prop_map(|(filter, newest_first, limit)| Op::List { filter, newest_first, limit }),
        1 => (FilterShape::any(), 0..5_u64).prop_map(|(filter, cap)| Op::Count { filter, cap }),
        1 => Just(Op::Workers),
        5 => vec(ChangeShape::any(), 1..3).prop_map(Op::Commit),
        2 => Pick::any().prop_map(Op::CommitAgain),
    ]
}

/// How much a round of maintenance may do: mostly all there is.
fn any_limit() -> impl Strategy<Value = usize> + Clone {
    prop_oneof![3 => Just(ALL), 1 => 0..3_usize]
}

fn any_verb() -> impl Strategy<Value = Verb> + Clone {
    prop_oneof![3 => Just(Verb::Cancel), 3 => Just(Verb::Retry), 1 => Just(Verb::Delete), 1 => Just(Verb::ReleaseHold)]
}

fn any_record() -> impl Strategy<Value = RecordShape> + Clone {
    let percent = option::of(0..=100_u8);
    (percent, option::weighted(0.3, any::<u8>()), 0..3_u8)
        .prop_map(|(percent, checkpoint, lines)| RecordShape { percent, checkpoint, lines })
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
    (any_target(), ends, vec(JobShape::any(), 0..2), any::<bool>()).prop_map(
        |(target, (decision, ending), effects, started)| FinishShape {
            target,
            decision,
            ending,
            effects,
            started,
        },
    )
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
