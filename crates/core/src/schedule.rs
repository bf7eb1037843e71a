//! When schedules fire: rules that yield instants.
//!
//! | part | does |
//! |---|---|
//! | `cadence` | the rule of a schedule: every so often, or cron in a time zone |
//! | `cron` | cron's fields: which wall times a rule names |
//! | `zone` | at which instants a zone's clocks show them, over gaps and repeats |

pub(crate) mod cadence;
mod cron;
mod zone;
