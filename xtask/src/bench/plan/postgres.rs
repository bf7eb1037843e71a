//! PostgreSQL: a private server, `fsync` and `synchronous_commit` on.

use super::{
    Bound::{AtLeast, AtMost, RatioAtLeast, RatioAtMost},
    Comparison,
    Figure::{
        self, DrainPerSecond, EnqueuePerSecond, LatencyP50Ms, OutboxRoundTrips, OutboxStatementUs,
        OutboxTxMs, PeerTxMs, PlainStatementUs, PlainTxMs, SustainedLastToFirst, SustainedPerSecond,
        WalBytesToRun,
    },
    Program::{Apalis, Awa, GraphileWorker, GraphileWorkerNode, OutboxBench, PgBoss, River},
    Side,
    When::{Always, Full, Peers},
    floor, peer, product,
};

const DRAIN: Side =
    product(DrainPerSecond, "--db {url} --mode drain --jobs {jobs} --batch 1000").called("gristmill, empty");

/// A figure of the transactions of a caller who enqueues in them.
const fn outbox(label: &'static str, figure: Figure) -> Side {
    Side { program: OutboxBench, label, arguments: "--db {url} --transactions {jobs}", figure }
}

/// The rows of PostgreSQL and of its peers.
pub(super) const ROWS: &[Comparison] = &[
    Comparison {
        when: Always,
        name: "postgres, drain",
        jobs: 500_000,
        subject: DRAIN,
        // The faster one counts, although it keeps no history.
        references: &[
            floor(DrainPerSecond, "postgres drain --db {url} --jobs {jobs} --batch 1000 --design append")
                .called("floor, append"),
            floor(DrainPerSecond, "postgres drain --db {url} --jobs {jobs} --batch 1000 --design delete")
                .called("floor, delete"),
        ],
        bound: RatioAtLeast(0.6),
    },
    Comparison {
        when: Always,
        name: "postgres, log bytes to fetch and finish a job",
        jobs: 200_000,
        subject: product(WalBytesToRun, "--db {url} --mode drain --jobs {jobs} --batch 1000"),
        references: &[],
        bound: AtMost(600.0),
    },
    Comparison {
        when: Always,
        name: "postgres, enqueue from 16 callers",
        jobs: 50_000,
        subject: product(EnqueuePerSecond, "--db {url} --mode enqueue --jobs {jobs} --callers 16"),
        references: &[floor(EnqueuePerSecond, "postgres enqueue --db {url} --jobs {jobs} --callers 16")],
        bound: RatioAtLeast(0.8),
    },
    Comparison {
        when: Always,
        name: "postgres, enqueue in the caller's transaction, to a plain insert",
        jobs: 2_000,
        subject: outbox("enqueue", OutboxTxMs),
        references: &[outbox("plain insert", PlainTxMs)],
        bound: RatioAtMost(1.3),
    },
    Comparison {
        when: Always,
        name: "postgres, the statement of that enqueue, to a plain insert",
        jobs: 2_000,
        subject: outbox("enqueue", OutboxStatementUs),
        references: &[outbox("plain insert", PlainStatementUs)],
        bound: RatioAtMost(1.3),
    },
    Comparison {
        when: Always,
        name: "postgres, round trips of that enqueue",
        jobs: 200,
        subject: outbox("enqueue", OutboxRoundTrips),
        references: &[],
        bound: AtMost(1.0),
    },
    Comparison {
        when: Always,
        name: "postgres, idle latency p50",
        jobs: 500,
        subject: product(LatencyP50Ms, "--db {url} --mode latency --jobs {jobs}"),
        references: &[],
        bound: AtMost(2.5),
    },
    Comparison {
        when: Always,
        name: "postgres, idle latency p50 where another process enqueues",
        jobs: 500,
        subject: product(LatencyP50Ms, "--db {url} --mode latency --apart --rate 50 --jobs {jobs}"),
        references: &[],
        bound: AtMost(2.5),
    },
    Comparison {
        when: Always,
        name: "postgres, handlers of 5 ms in 100 slots",
        jobs: 100_000,
        subject: product(DrainPerSecond, "--db {url} --mode drain --jobs {jobs} --run-ms 5 --slots 100"),
        references: &[],
        // 100 slots by 5 ms are 20,000 jobs a second.
        bound: AtLeast(0.8 * 20_000.0),
    },
    Comparison {
        when: Always,
        name: "postgres, drain on a backlog of 1 M",
        jobs: 500_000,
        subject: product(
            DrainPerSecond,
            "--db {url} --mode drain --jobs {jobs} --batch 1000 --backlog {backlog}",
        ),
        references: &[DRAIN],
        bound: RatioAtLeast(0.8),
    },
    Comparison {
        when: Full,
        name: "postgres, drain beside 10 M finished jobs",
        jobs: 500_000,
        subject: product(
            DrainPerSecond,
            "--db {url} --mode drain --jobs {jobs} --batch 1000 --history {history}",
        ),
        references: &[DRAIN],
        bound: RatioAtLeast(0.8),
    },
    Comparison {
        when: Full,
        name: "postgres, sustained with a snapshot held for 60 s",
        jobs: 100_000,
        subject: product(SustainedPerSecond, "--db {url} --mode sustain --seconds {seconds} --hold-snapshot"),
        references: &[product(SustainedPerSecond, "--db {url} --mode sustain --seconds {seconds}")
            .called("gristmill, without")],
        bound: RatioAtLeast(0.7),
    },
    Comparison {
        when: Full,
        name: "postgres, the last third of 60 s with a snapshot held, to the first",
        jobs: 100_000,
        subject: product(
            SustainedLastToFirst,
            "--db {url} --mode sustain --seconds {seconds} --hold-snapshot",
        ),
        references: &[],
        bound: AtLeast(0.9),
    },
    Comparison {
        when: Peers,
        name: "postgres, enqueue in the caller's transaction against peers",
        jobs: 2_000,
        subject: outbox("gristmill", OutboxTxMs),
        references: &[
            Side {
                program: River,
                label: "river, InsertTx",
                arguments: "--db {url} --transactions {jobs}",
                figure: PeerTxMs,
            },
            Side {
                program: GraphileWorker,
                label: "graphile_worker, add_job",
                arguments: "--db {url} --transactions {jobs}",
                figure: PeerTxMs,
            },
        ],
        bound: RatioAtMost(1.0),
    },
    Comparison {
        when: Peers,
        name: "postgres, drain against peers",
        jobs: 200_000,
        subject: DRAIN,
        references: &[
            peer(GraphileWorker, "graphile_worker", "--db {url} --jobs {jobs}"),
            peer(River, "river", "--db {url} --jobs {jobs}"),
            peer(Awa, "awa", "--db {url} --jobs {jobs}"),
            peer(Apalis, "apalis-postgres", "--db {url} --jobs {jobs}"),
            peer(GraphileWorkerNode, "graphile-worker (npm)", "--db {url} --jobs {jobs}"),
            peer(PgBoss, "pg-boss", "--db {url} --jobs {jobs}"),
        ],
        bound: RatioAtLeast(2.0),
    },
];
