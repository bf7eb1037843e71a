//! `schedules`: when rules fire.

use clap::{Args, Subcommand};
use gristmill::{Cadence, Clock as _, SystemClock, Timestamp};
use serde::Serialize;

use crate::failure::{Failure, Result};
use crate::output::Output;

/// See when a schedule would fire
#[derive(Debug, Args)]
pub(crate) struct Schedules {
    #[command(subcommand)]
    command: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Print the next instants of a cron rule; needs no store
    ///
    /// Five fields: minute hour day month weekday, or six with the second first. A field is a list of
    /// numbers, names (MON, JAN), ranges (8-18) and steps (*/15, 8-18/2). Days may be L (the last), L-3, 15W
    /// (the working day nearest to the 15th) and LW; weekdays 5L (the last Friday) and 5#2 (the second). If
    /// day and weekday are both restricted, one of them is enough. There are @yearly @monthly @weekly @daily
    /// @hourly, and @every with a duration; CRON_TZ=ZONE before the fields names the zone.
    ///
    /// If the hour has no `*`, each time fires once a day, also when clocks change. With `*` in the hour the
    /// rule follows real time.
    ///
    /// Prints the instant in UTC and what clocks of the zone show.
    #[command(after_help = "\
Examples:
  gristmill schedules next --cron '30 2 * * MON-FRI' --zone Europe/Stockholm
  gristmill schedules next --cron '0 12 L * *' -n 3 --json
  gristmill schedules next --cron '@every 90s' --from 2026-11-22T10:00:00Z")]
    Next {
        /// The rule: cron fields, or a shortcut such as @daily
        #[arg(long, value_name = "RULE")]
        cron: String,
        /// The time zone whose clocks it follows
        #[arg(long, default_value = "UTC")]
        zone: String,
        /// How many instants, 1 to 1,000
        #[arg(short = 'n', long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
        count: u16,
        /// Print instants after this one, which is excluded; @every counts from it [default: now]
        #[arg(long, value_name = "TIME")]
        from: Option<Timestamp>,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
}

#[derive(Serialize)]
struct TickShape {
    at: String,
    wall_time: String,
}

impl Schedules {
    pub(crate) fn run(self) -> Result<()> {
        let Act::Next { cron, zone, count, from, json } = self.command;
        let cadence = Cadence::cron(&cron, &zone).map_err(|error| Failure::usage(error.to_string()))?;
        let from = from.unwrap_or_else(|| SystemClock.now());
        let next = |after: &Timestamp| cadence.next_after(*after, from);
        let ticks = std::iter::successors(next(&from), next).take(count.into());
        let mut output = Output::stdout();
        for at in ticks {
            let tick = TickShape { at: at.to_string(), wall_time: cadence.wall_time(at) };
            if json {
                output.json(&tick);
            } else {
                output.line(format_args!("{}  {}", tick.at, tick.wall_time));
            }
        }
        output.finish()
    }
}
