//! The command line.

use clap::Parser;

/// Room for the braces, the field names, a ten-digit number and an empty filler.
pub(crate) const SMALLEST_ARGS_BYTES: u32 = 40;

/// What an enqueue in the caller's own transaction costs, beside a plain insert of the same bytes.
#[derive(Debug, Parser)]
#[command(name = "gristmill-outbox-bench", version, after_help = EXAMPLES)]
pub(crate) struct Options {
    /// The PostgreSQL database, in which the schemas `gristmill_outbox_bench` and
    /// `gristmill_outbox_bench_rows` are made anew and dropped afterwards. Over TCP, without TLS: round trips
    /// are counted on the way.
    #[arg(long, value_name = "URL")]
    pub(crate) db: String,
    /// How many transactions of each sort.
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) transactions: u32,
    /// Length of a job's JSON args in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(i64::from(SMALLEST_ARGS_BYTES)..=1_048_576))]
    pub(crate) args_bytes: u32,
    /// Print one line of JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

const EXAMPLES: &str = "\
Examples:
  gristmill-outbox-bench --db postgres://postgres@localhost/bench
  gristmill-outbox-bench --db postgres://postgres@localhost/bench --transactions 10000 --json

Build with --release; a debug build measures the compiler's restraint.";

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Options;

    #[test]
    fn command_line_is_consistent() {
        Options::command().debug_assert();
    }
}
