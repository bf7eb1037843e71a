//! What is stored in this process: SQLite and memory.

use super::{
    Bound::{AtMost, RatioAtLeast, RatioAtMost},
    Comparison,
    Figure::{CommitP50Ms, DrainPerSecond, EnqueuePerSecond, LatencyP50Ms},
    When::Always,
    floor, product,
};

/// The rows of SQLite and of memory.
pub(super) const ROWS: &[Comparison] = &[
    Comparison {
        when: Always,
        name: "sqlite normal, drain",
        jobs: 1_000_000,
        subject: product(DrainPerSecond, "--db sqlite:{db}?synchronous=normal --mode drain --jobs {jobs}"),
        references: &[floor(DrainPerSecond, "sqlite drain --dir {dir} --jobs {jobs} --sync normal")],
        bound: RatioAtLeast(0.55),
    },
    Comparison {
        when: Always,
        name: "sqlite full, drain",
        jobs: 1_000_000,
        subject: product(DrainPerSecond, "--db sqlite:{db}?synchronous=full --mode drain --jobs {jobs}"),
        references: &[floor(DrainPerSecond, "sqlite drain --dir {dir} --jobs {jobs} --sync full")],
        bound: RatioAtLeast(0.55),
    },
    Comparison {
        when: Always,
        name: "sqlite normal, enqueue from 256 callers",
        jobs: 100_000,
        subject: product(
            EnqueuePerSecond,
            "--db sqlite:{db}?synchronous=normal --mode enqueue --jobs {jobs} --callers 256",
        ),
        references: &[floor(
            EnqueuePerSecond,
            "sqlite enqueue --dir {dir} --jobs {jobs} --sync normal --callers 256",
        )],
        bound: RatioAtLeast(0.55),
    },
    Comparison {
        when: Always,
        name: "sqlite full, enqueue from 256 callers",
        jobs: 50_000,
        subject: product(
            EnqueuePerSecond,
            "--db sqlite:{db}?synchronous=full --mode enqueue --jobs {jobs} --callers 256",
        ),
        references: &[floor(
            EnqueuePerSecond,
            "sqlite enqueue --dir {dir} --jobs {jobs} --sync full --callers 256",
        )],
        bound: RatioAtLeast(0.55),
    },
    Comparison {
        when: Always,
        name: "memory, drain",
        jobs: 1_000_000,
        subject: product(DrainPerSecond, "--db memory: --mode drain --jobs {jobs}"),
        references: &[floor(DrainPerSecond, "memory drain --jobs {jobs}")],
        bound: RatioAtLeast(0.6),
    },
    Comparison {
        when: Always,
        name: "memory, idle latency p50",
        jobs: 500,
        subject: product(LatencyP50Ms, "--db memory: --mode latency --jobs {jobs}"),
        references: &[],
        bound: AtMost(0.5),
    },
    Comparison {
        when: Always,
        name: "sqlite normal, idle latency p50",
        jobs: 500,
        subject: product(LatencyP50Ms, "--db sqlite:{db}?synchronous=normal --mode latency --jobs {jobs}"),
        references: &[],
        bound: AtMost(0.5),
    },
    Comparison {
        when: Always,
        name: "sqlite full, idle latency p50 in commits of the floor",
        jobs: 500,
        subject: product(LatencyP50Ms, "--db sqlite:{db}?synchronous=full --mode latency --jobs {jobs}"),
        references: &[floor(CommitP50Ms, "sqlite latency --dir {dir} --jobs {jobs} --sync full")],
        bound: RatioAtMost(3.0),
    },
    Comparison {
        when: Always,
        name: "sqlite normal, drain on a backlog of 1 M",
        jobs: 500_000,
        subject: product(
            DrainPerSecond,
            "--db sqlite:{db}?synchronous=normal --mode drain --jobs {jobs} --backlog {backlog}",
        ),
        references: &[product(
            DrainPerSecond,
            "--db sqlite:{db}?synchronous=normal --mode drain --jobs {jobs}",
        )],
        bound: RatioAtLeast(0.8),
    },
    Comparison {
        when: Always,
        name: "sqlite full, drain on a backlog of 1 M",
        jobs: 500_000,
        subject: product(
            DrainPerSecond,
            "--db sqlite:{db}?synchronous=full --mode drain --jobs {jobs} --backlog {backlog}",
        ),
        references: &[product(
            DrainPerSecond,
            "--db sqlite:{db}?synchronous=full --mode drain --jobs {jobs}",
        )],
        bound: RatioAtLeast(0.8),
    },
    Comparison {
        when: Always,
        name: "memory, drain on a backlog of 1 M",
        jobs: 1_000_000,
        subject: product(DrainPerSecond, "--db memory: --mode drain --jobs {jobs} --backlog {backlog}"),
        references: &[product(DrainPerSecond, "--db memory: --mode drain --jobs {jobs}")],
        bound: RatioAtLeast(0.8),
    },
];
