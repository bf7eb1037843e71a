//! What is compared with what, and what each comparison must reach.
//!
//! The command lines stand here and nowhere else. In them `{db}` is a fresh database file and `{jobs}` the number
//! of jobs of the comparison, which `--jobs` replaces.

/// One row of the table: a subject, what it is held against, and the bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Comparison {
    pub(crate) name: &'static str,
    pub(crate) jobs: u32,
    pub(crate) subject: Side,
    /// None where the bound is absolute.
    pub(crate) reference: Option<Side>,
    pub(crate) figure: Figure,
    pub(crate) bound: Bound,
}

/// A program with its arguments, which prints one JSON line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    /// The hand-written loops of `bench/floors`.
    Floor(&'static str),
    /// The `gristmill` command.
    Product(&'static str),
}

/// Which member of the JSON line is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Figure {
    DrainPerSecond,
    EnqueuePerSecond,
    LatencyP50Ms,
}

impl Figure {
    /// The path of the member in the JSON line.
    pub(crate) fn path(self) -> &'static [&'static str] {
        match self {
            Self::DrainPerSecond => &["drain_per_s"],
            Self::EnqueuePerSecond => &["enqueue_per_s"],
            Self::LatencyP50Ms => &["latency_ms", "p50"],
        }
    }
}

/// What the row must reach.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Bound {
    /// Subject by reference, at least.
    RatioAtLeast(f64),
    /// Subject by reference, at most.
    RatioAtMost(f64),
    /// The subject's own figure, at most.
    AtMost(f64),
}

impl Bound {
    /// Whether `value` (a ratio or the figure itself) is good enough.
    pub(crate) fn holds(self, value: f64) -> bool {
        match self {
            Self::RatioAtLeast(least) => value >= least,
            Self::RatioAtMost(most) | Self::AtMost(most) => value <= most,
        }
    }
}

use Bound::{AtMost, RatioAtLeast, RatioAtMost};
use Figure::{DrainPerSecond, EnqueuePerSecond, LatencyP50Ms};
use Side::{Floor, Product};

/// Every comparison, with the bounds that Gristmill has set itself.
pub(crate) const COMPARISONS: &[Comparison] = &[
    Comparison {
        name: "sqlite normal, drain",
        jobs: 200_000,
        subject: Product("--db sqlite:{db}?synchronous=normal --mode drain --jobs {jobs}"),
        reference: Some(Floor("sqlite drain --jobs {jobs} --sync normal")),
        figure: DrainPerSecond,
        bound: RatioAtLeast(0.55),
    },
    Comparison {
        name: "sqlite full, drain",
        jobs: 200_000,
        subject: Product("--db sqlite:{db}?synchronous=full --mode drain --jobs {jobs}"),
        reference: Some(Floor("sqlite drain --jobs {jobs} --sync full")),
        figure: DrainPerSecond,
        bound: RatioAtLeast(0.55),
    },
    Comparison {
        name: "sqlite normal, enqueue from 256 callers",
        jobs: 100_000,
        subject: Product("--db sqlite:{db}?synchronous=normal --mode enqueue --jobs {jobs} --callers 256"),
        reference: Some(Floor("sqlite enqueue --jobs {jobs} --sync normal --callers 256")),
        figure: EnqueuePerSecond,
        bound: RatioAtLeast(0.55),
    },
    Comparison {
        name: "sqlite full, enqueue from 256 callers",
        jobs: 50_000,
        subject: Product("--db sqlite:{db}?synchronous=full --mode enqueue --jobs {jobs} --callers 256"),
        reference: Some(Floor("sqlite enqueue --jobs {jobs} --sync full --callers 256")),
        figure: EnqueuePerSecond,
        bound: RatioAtLeast(0.55),
    },
    Comparison {
        name: "memory, drain",
        jobs: 1_000_000,
        subject: Product("--db memory: --mode drain --jobs {jobs}"),
        reference: Some(Floor("memory drain --jobs {jobs}")),
        figure: DrainPerSecond,
        bound: RatioAtLeast(0.6),
    },
    Comparison {
        name: "memory, idle latency p50",
        jobs: 500,
        subject: Product("--db memory: --mode latency --jobs {jobs}"),
        reference: None,
        figure: LatencyP50Ms,
        bound: AtMost(0.5),
    },
    Comparison {
        name: "sqlite normal, idle latency p50",
        jobs: 500,
        subject: Product("--db sqlite:{db}?synchronous=normal --mode latency --jobs {jobs}"),
        reference: None,
        figure: LatencyP50Ms,
        bound: AtMost(0.5),
    },
    Comparison {
        name: "sqlite full, idle latency p50, in commits of the floor",
        jobs: 500,
        subject: Product("--db sqlite:{db}?synchronous=full --mode latency --jobs {jobs}"),
        reference: Some(Floor("sqlite latency --jobs {jobs} --sync full")),
        figure: LatencyP50Ms,
        bound: RatioAtMost(3.0),
    },
    Comparison {
        name: "sqlite normal, drain on a backlog of 1 M",
        jobs: 200_000,
        subject: Product("--db sqlite:{db}?synchronous=normal --mode drain --jobs {jobs} --backlog 1000000"),
        reference: Some(Product("--db sqlite:{db}?synchronous=normal --mode drain --jobs {jobs}")),
        figure: DrainPerSecond,
        bound: RatioAtLeast(0.8),
    },
];
