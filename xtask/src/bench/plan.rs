//! What is compared with what, and what each comparison must reach.
//!
//! The command lines stand here and nowhere else. In them `{db}` is a fresh database file, `{dir}` the fresh folder
//! it lies in, and `{jobs}` the number of jobs of the comparison, which `--jobs` replaces.

/// One row of the table: a subject, what it is held against, and the bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Comparison {
    pub(crate) name: &'static str,
    pub(crate) jobs: u32,
    pub(crate) subject: Side,
    /// None where the bound is absolute.
    pub(crate) reference: Option<Side>,
    pub(crate) bound: Bound,
}

/// A program with its arguments, which prints one JSON line, and the member of it that is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Side {
    pub(crate) program: Program,
    pub(crate) arguments: &'static str,
    pub(crate) figure: Figure,
}

/// What is run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Program {
    /// The hand-written loops of `bench/floors`.
    Floor,
    /// `gristmill bench`.
    Product,
}

/// Which member of the JSON line is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Figure {
    DrainPerSecond,
    EnqueuePerSecond,
    /// Enqueue call to handler start.
    LatencyP50Ms,
    /// One row inserted and committed while nothing else is under way.
    CommitP50Ms,
}

impl Figure {
    /// The path of the member in the JSON line.
    pub(crate) fn path(self) -> &'static [&'static str] {
        match self {
            Self::DrainPerSecond => &["drain_per_s"],
            Self::EnqueuePerSecond => &["enqueue_per_s"],
            Self::LatencyP50Ms => &["latency_ms", "p50"],
            Self::CommitP50Ms => &["commit_ms", "p50"],
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
use Figure::{CommitP50Ms, DrainPerSecond, EnqueuePerSecond, LatencyP50Ms};

const fn floor(figure: Figure, arguments: &'static str) -> Side {
    Side { program: Program::Floor, arguments, figure }
}

const fn product(figure: Figure, arguments: &'static str) -> Side {
    Side { program: Program::Product, arguments, figure }
}

/// Every comparison, with the bounds that Gristmill has set itself.
pub(crate) const COMPARISONS: &[Comparison] = &[
    Comparison {
        name: "sqlite normal, drain",
        jobs: 1_000_000,
        subject: product(DrainPerSecond, "--db sqlite:{db}?synchronous=normal --mode drain --jobs {jobs}"),
        reference: Some(floor(DrainPerSecond, "sqlite drain --dir {dir} --jobs {jobs} --sync normal")),
        bound: RatioAtLeast(0.55),
    },
    Comparison {
        name: "sqlite full, drain",
        jobs: 1_000_000,
        subject: product(DrainPerSecond, "--db sqlite:{db}?synchronous=full --mode drain --jobs {jobs}"),
        reference: Some(floor(DrainPerSecond, "sqlite drain --dir {dir} --jobs {jobs} --sync full")),
        bound: RatioAtLeast(0.55),
    },
    Comparison {
        name: "sqlite normal, enqueue from 256 callers",
        jobs: 100_000,
        subject: product(
            EnqueuePerSecond,
            "--db sqlite:{db}?synchronous=normal --mode enqueue --jobs {jobs} --callers 256",
        ),
        reference: Some(floor(
            EnqueuePerSecond,
            "sqlite enqueue --dir {dir} --jobs {jobs} --sync normal --callers 256",
        )),
        bound: RatioAtLeast(0.55),
    },
    Comparison {
        name: "sqlite full, enqueue from 256 callers",
        jobs: 50_000,
        subject: product(
            EnqueuePerSecond,
            "--db sqlite:{db}?synchronous=full --mode enqueue --jobs {jobs} --callers 256",
        ),
        reference: Some(floor(
            EnqueuePerSecond,
            "sqlite enqueue --dir {dir} --jobs {jobs} --sync full --callers 256",
        )),
        bound: RatioAtLeast(0.55),
    },
    Comparison {
        name: "memory, drain",
        jobs: 1_000_000,
        subject: product(DrainPerSecond, "--db memory: --mode drain --jobs {jobs}"),
        reference: Some(floor(DrainPerSecond, "memory drain --jobs {jobs}")),
        bound: RatioAtLeast(0.6),
    },
    Comparison {
        name: "memory, idle latency p50",
        jobs: 500,
        subject: product(LatencyP50Ms, "--db memory: --mode latency --jobs {jobs}"),
        reference: None,
        bound: AtMost(0.5),
    },
    Comparison {
        name: "sqlite normal, idle latency p50",
        jobs: 500,
        subject: product(LatencyP50Ms, "--db sqlite:{db}?synchronous=normal --mode latency --jobs {jobs}"),
        reference: None,
        bound: AtMost(0.5),
    },
    Comparison {
        name: "sqlite full, idle latency p50 in commits of the floor",
        jobs: 500,
        subject: product(LatencyP50Ms, "--db sqlite:{db}?synchronous=full --mode latency --jobs {jobs}"),
        reference: Some(floor(CommitP50Ms, "sqlite latency --dir {dir} --jobs {jobs} --sync full")),
        bound: RatioAtMost(3.0),
    },
    Comparison {
        name: "sqlite normal, drain on a backlog of 1 M",
        jobs: 500_000,
        subject: product(
            DrainPerSecond,
            "--db sqlite:{db}?synchronous=normal --mode drain --jobs {jobs} --backlog 1000000",
        ),
        reference: Some(product(
            DrainPerSecond,
            "--db sqlite:{db}?synchronous=normal --mode drain --jobs {jobs}",
        )),
        bound: RatioAtLeast(0.8),
    },
    Comparison {
        name: "sqlite full, drain on a backlog of 1 M",
        jobs: 500_000,
        subject: product(
            DrainPerSecond,
            "--db sqlite:{db}?synchronous=full --mode drain --jobs {jobs} --backlog 1000000",
        ),
        reference: Some(product(
            DrainPerSecond,
            "--db sqlite:{db}?synchronous=full --mode drain --jobs {jobs}",
        )),
        bound: RatioAtLeast(0.8),
    },
    Comparison {
        name: "memory, drain on a backlog of 1 M",
        jobs: 1_000_000,
        subject: product(DrainPerSecond, "--db memory: --mode drain --jobs {jobs} --backlog 1000000"),
        reference: Some(product(DrainPerSecond, "--db memory: --mode drain --jobs {jobs}")),
        bound: RatioAtLeast(0.8),
    },
];
