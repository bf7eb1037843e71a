//! What a run prints.

use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::options::Options;
use crate::round_trips::RoundTrips;
use crate::transactions::Measured;

/// One run, in the shape of a line of `gristmill bench --json`. Times are medians.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    system: &'static str,
    version: &'static str,
    backend: &'static str,
    mode: &'static str,
    /// Whose transaction it is.
    variant: &'static str,
    /// Of the server.
    settings: Map<String, Value>,
    /// Transactions of each sort.
    transactions: u32,
    args_bytes: u32,
    /// BEGIN, the user's row, COMMIT.
    bare_tx_ms: f64,
    /// The same and a plain insert of the job's bytes.
    plain_tx_ms: f64,
    /// The same and an enqueue.
    outbox_tx_ms: f64,
    /// The plain insert alone.
    plain_statement_us: f64,
    /// The enqueue alone.
    outbox_statement_us: f64,
    /// Of an enqueue, once its statement is prepared.
    round_trips: u64,
    /// Of the first enqueue of a connection.
    first_round_trips: u64,
    /// Jobs that were enqueued and are not there.
    lost: u64,
    /// Jobs that are there beyond those that were enqueued.
    duplicated: u64,
}

impl Report {
    /// Puts a run and the command line it came from together.
    pub(crate) fn new(
        options: &Options,
        settings: Map<String, Value>,
        measured: Measured,
        round_trips: RoundTrips,
        stored: u64,
    ) -> Self {
        let enqueued = measured.enqueued + round_trips.enqueued;
        Self {
            system: "gristmill",
            version: env!("CARGO_PKG_VERSION"),
            backend: "postgres",
            mode: "outbox",
            variant: "sqlx",
            settings,
            transactions: options.transactions,
            args_bytes: options.args_bytes,
            bare_tx_ms: median(measured.bare.transactions).as_secs_f64() * 1e3,
            plain_tx_ms: median(measured.plain.transactions).as_secs_f64() * 1e3,
            outbox_tx_ms: median(measured.outbox.transactions).as_secs_f64() * 1e3,
            plain_statement_us: median(measured.plain.statements).as_secs_f64() * 1e6,
            outbox_statement_us: median(measured.outbox.statements).as_secs_f64() * 1e6,
            round_trips: round_trips.most,
            first_round_trips: round_trips.first,
            lost: enqueued.saturating_sub(stored),
            duplicated: stored.saturating_sub(enqueued),
        }
    }

    /// Whether every job was found exactly once.
    pub(crate) fn is_complete(&self) -> bool {
        self.lost == 0 && self.duplicated == 0
    }

    /// Writes one line of JSON.
    pub(crate) fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        writeln!(out)
    }

    /// Writes a table for a reader.
    pub(crate) fn write_table(&self, out: &mut impl Write) -> io::Result<()> {
        let settings: Vec<_> = self.settings.iter().map(|(name, value)| format!("{name} {value}")).collect();
        writeln!(out, "outbox, {} transactions of each sort, {} B args", self.transactions, self.args_bytes)?;
        row(out, "settings", &settings.join(", "))?;
        row(out, "bare", &format!("{:.3} ms a transaction", self.bare_tx_ms))?;
        let plain = format!(
            "{:.3} ms a transaction, {:.1} us its statement",
            self.plain_tx_ms, self.plain_statement_us
        );
        row(out, "plain insert", &plain)?;
        let outbox = format!(
            "{:.3} ms a transaction, {:.1} us its statement",
            self.outbox_tx_ms, self.outbox_statement_us
        );
        row(out, "enqueue", &outbox)?;
        let ratio = format!(
            "{:.3} of the transaction, {:.3} of the statement",
            self.outbox_tx_ms / self.plain_tx_ms,
            self.outbox_statement_us / self.plain_statement_us
        );
        row(out, "ratio", &ratio)?;
        let trips = format!("{}, the first time {} to prepare it", self.round_trips, self.first_round_trips);
        row(out, "round trips", &trips)?;
        row(out, "accounted", &format!("{} lost, {} duplicated", self.lost, self.duplicated))
    }
}

fn row(out: &mut impl Write, name: &str, value: &str) -> io::Result<()> {
    writeln!(out, "  {name:<13} {value}")
}

/// The sample in the middle, the upper one of an even number; zero without samples.
fn median(mut samples: Vec<Duration>) -> Duration {
    samples.sort_unstable();
    samples.get(samples.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_sample_in_the_middle() {
        let samples = |millis: &[u64]| millis.iter().copied().map(Duration::from_millis).collect();
        assert_eq!(median(samples(&[9, 1, 5])), Duration::from_millis(5));
        assert_eq!(median(samples(&[9, 1])), Duration::from_millis(9));
        assert_eq!(median(Vec::new()), Duration::ZERO);
    }
}
