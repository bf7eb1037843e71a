//! What is compared with what, and what each comparison must reach.
//!
//! The command lines stand below this module and nowhere else. In them `{db}` is a fresh database file,
//! `{dir}` the fresh folder it lies in, `{url}` a fresh database of the private PostgreSQL server, `{jobs}`
//! the number of jobs of the comparison, and `{backlog}`, `{history}` and `{seconds}` are the sizes of the
//! run.

mod embedded;
mod postgres;

/// One row of the table: a subject, what it is held against, and the bound. Sides with the same command line
/// are figures of the same runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Comparison {
    pub(crate) when: When,
    pub(crate) name: &'static str,
    pub(crate) jobs: u32,
    pub(crate) subject: Side,
    /// The best of them counts; none where the bound is absolute.
    pub(crate) references: &'static [Side],
    pub(crate) bound: Bound,
}

/// Which call of the command measures a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum When {
    /// Every call.
    Always,
    /// With `--full`: it takes minutes.
    Full,
    /// With `--peers`: other systems have to be built.
    Peers,
}

/// A program with its arguments, which prints one JSON line, and the member of it that is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Side {
    pub(crate) program: Program,
    /// What the table calls it.
    pub(crate) label: &'static str,
    pub(crate) arguments: &'static str,
    pub(crate) figure: Figure,
}

impl Side {
    /// The same side under another name.
    const fn called(self, label: &'static str) -> Self {
        Self { label, ..self }
    }

    /// The same side, run by the program of the commit that `--against` names.
    pub(crate) fn before(self) -> Self {
        Self { program: self.program.before(), label: "before", ..self }
    }

    /// Whether one run of a program gives the figures of both.
    pub(crate) fn is_same_run(self, other: Self) -> bool {
        (self.program, self.arguments) == (other.program, other.arguments)
    }

    /// Whether a run of it needs the PostgreSQL server.
    pub(crate) fn needs_postgres(self) -> bool {
        self.arguments.contains("{url}")
    }
}

/// What is run.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Program {
    /// The hand-written loops of `bench/floors`.
    Floor,
    /// `gristmill bench`.
    Product,
    /// `gristmill bench` of an earlier commit.
    ProductBefore,
    /// `outbox/bench`.
    OutboxBench,
    /// `outbox/bench` of an earlier commit.
    OutboxBenchBefore,
    /// `bench/peers/graphile_worker`.
    GraphileWorker,
    /// `bench/peers/river`.
    River,
    /// `bench/peers/apalis`.
    Apalis,
    /// `bench/peers/awa`.
    Awa,
    /// `bench/peers/node/graphile_worker.js`.
    GraphileWorkerNode,
    /// `bench/peers/node/pg_boss.js`.
    PgBoss,
}

impl Program {
    /// What its file is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Floor => "gristmill-floors",
            Self::Product | Self::ProductBefore => "gristmill",
            Self::OutboxBench | Self::OutboxBenchBefore => "gristmill-outbox-bench",
            Self::GraphileWorker => "gristmill-peer-graphile-worker",
            Self::River => "river",
            Self::Apalis => "gristmill-peer-apalis",
            Self::Awa => "gristmill-peer-awa",
            Self::GraphileWorkerNode => "graphile_worker.js",
            Self::PgBoss => "pg_boss.js",
        }
    }

    /// Whether it is another project's system.
    pub(crate) fn is_peer(self) -> bool {
        matches!(
            self,
            Self::GraphileWorker
                | Self::River
                | Self::Apalis
                | Self::Awa
                | Self::GraphileWorkerNode
                | Self::PgBoss
        )
    }

    /// Whether it is built from an earlier commit, which may lack an option of today.
    pub(crate) fn is_before(self) -> bool {
        matches!(self, Self::ProductBefore | Self::OutboxBenchBefore)
    }

    /// The program of an earlier commit; others have none and stay themselves.
    fn before(self) -> Self {
        match self {
            Self::Product => Self::ProductBefore,
            Self::OutboxBench => Self::OutboxBenchBefore,
            other => other,
        }
    }
}

/// Which member of the JSON line is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Figure {
    DrainPerSecond,
    EnqueuePerSecond,
    /// Finished while others were enqueued.
    SustainedPerSecond,
    /// The last third of such a run against its first.
    SustainedLastToFirst,
    /// Enqueue call to handler start.
    LatencyP50Ms,
    /// One row inserted and committed while nothing else is under way.
    CommitP50Ms,
    /// What the server logs to fetch and to finish a job.
    WalBytesToRun,
    /// A transaction of the caller's with a plain insert of a job's bytes in it.
    PlainTxMs,
    /// The same transaction with an enqueue in it.
    OutboxTxMs,
    /// That plain insert alone.
    PlainStatementUs,
    /// That enqueue alone.
    OutboxStatementUs,
    /// The same transaction with an enqueue of a peer's in it.
    PeerTxMs,
    /// How often that enqueue waits for the server.
    OutboxRoundTrips,
}

impl Figure {
    /// The path of the member in the JSON line.
    pub(crate) fn path(self) -> &'static [&'static str] {
        match self {
            Self::DrainPerSecond => &["drain_per_s"],
            Self::EnqueuePerSecond => &["enqueue_per_s"],
            Self::SustainedPerSecond => &["sustained_per_s"],
            Self::SustainedLastToFirst => &["last_to_first"],
            Self::LatencyP50Ms => &["latency_ms", "p50"],
            Self::CommitP50Ms => &["commit_ms", "p50"],
            Self::WalBytesToRun => &["wal_bytes_per_job", "fetch_and_finish"],
            Self::PlainTxMs => &["plain_tx_ms"],
            Self::OutboxTxMs => &["outbox_tx_ms"],
            Self::PlainStatementUs => &["plain_statement_us"],
            Self::OutboxStatementUs => &["outbox_statement_us"],
            Self::PeerTxMs => &["tx_ms"],
            Self::OutboxRoundTrips => &["round_trips"],
        }
    }

    /// The bound on this figure of a program, held against that of an earlier commit: two per cent are noise.
    pub(crate) fn bound_to_before(self) -> Bound {
        const NOISE: f64 = 0.02;
        match self {
            Self::DrainPerSecond
            | Self::EnqueuePerSecond
            | Self::SustainedPerSecond
            | Self::SustainedLastToFirst => Bound::RatioAtLeast(1.0 - NOISE),
            Self::LatencyP50Ms
            | Self::CommitP50Ms
            | Self::WalBytesToRun
            | Self::PlainTxMs
            | Self::OutboxTxMs
            | Self::PeerTxMs
            | Self::PlainStatementUs
            | Self::OutboxStatementUs
            | Self::OutboxRoundTrips => Bound::RatioAtMost(1.0 + NOISE),
        }
    }

    /// The unit of the figure.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::DrainPerSecond | Self::EnqueuePerSecond | Self::SustainedPerSecond => "/s",
            Self::LatencyP50Ms | Self::CommitP50Ms | Self::PlainTxMs | Self::OutboxTxMs | Self::PeerTxMs => {
                "ms"
            }
            Self::PlainStatementUs | Self::OutboxStatementUs => "us",
            Self::WalBytesToRun => "B",
            Self::SustainedLastToFirst | Self::OutboxRoundTrips => "",
        }
    }
}

/// What the row must reach.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Bound {
    /// Subject by the best reference, at least.
    RatioAtLeast(f64),
    /// Subject by the best reference, at most.
    RatioAtMost(f64),
    /// The subject's own figure, at least.
    AtLeast(f64),
    /// The subject's own figure, at most.
    AtMost(f64),
}

impl Bound {
    /// Whether `value` (a ratio or the figure itself) is good enough.
    pub(crate) fn holds(self, value: f64) -> bool {
        match self {
            Self::RatioAtLeast(least) | Self::AtLeast(least) => value >= least,
            Self::RatioAtMost(most) | Self::AtMost(most) => value <= most,
        }
    }

    /// Which of two references is the harder one to reach.
    pub(crate) fn harder(self, one: f64, other: f64) -> f64 {
        match self {
            Self::RatioAtLeast(_) | Self::AtLeast(_) => one.max(other),
            Self::RatioAtMost(_) | Self::AtMost(_) => one.min(other),
        }
    }
}

const fn floor(figure: Figure, arguments: &'static str) -> Side {
    Side { program: Program::Floor, label: "floor", arguments, figure }
}

const fn product(figure: Figure, arguments: &'static str) -> Side {
    Side { program: Program::Product, label: "gristmill", arguments, figure }
}

const fn peer(program: Program, label: &'static str, arguments: &'static str) -> Side {
    Side { program, label, arguments, figure: Figure::DrainPerSecond }
}

/// Every comparison, with the bounds that Gristmill has set itself.
pub(crate) fn comparisons() -> impl Iterator<Item = &'static Comparison> {
    embedded::ROWS.iter().chain(postgres::ROWS)
}
