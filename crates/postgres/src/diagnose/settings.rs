//! The server's settings, its clock, and what lies between here and it.

use std::time::Duration;

use gristmill_core::{Clock as _, Diagnosis, SystemClock};

use super::{Server, ear};
use crate::error::Answer;
use crate::handle::Inner;
use crate::session::{Naming, Session};
use crate::statement::sql;

/// The oldest major version that is tested.
const OLDEST: u32 = 13;
/// A machine whose clock is off by more has ids that sort wrongly and deadlines that surprise.
const CLOCK_TOLERANCE_MS: i64 = 1_000;
/// Statements that are compared to find a pooler.
const LOOKS: usize = 5;
/// A notification that takes longer does not arrive.
const EAR: Duration = Duration::from_secs(2);

pub(super) fn version(version: &str) -> Diagnosis {
    let major = version.split(['.', ' ']).next().and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major >= OLDEST) {
        Diagnosis::fine("server", format!("PostgreSQL {version}"))
    } else {
        let remedy = format!("upgrade to PostgreSQL {OLDEST} or later");
        Diagnosis::trouble("server", format!("PostgreSQL {version} is not tested"), remedy)
    }
}

pub(super) fn clock(server: &Server) -> Diagnosis {
    let ahead = server.now.as_millis() - SystemClock.now().as_millis();
    let direction = if ahead < 0 { "behind" } else { "ahead of" };
    let finding = format!("the server's clock is {} ms {direction} this machine's", ahead.abs());
    if ahead.abs() <= CLOCK_TOLERANCE_MS {
        Diagnosis::fine("clock", finding)
    } else {
        Diagnosis::trouble("clock", finding, "synchronise both clocks, by NTP for instance")
    }
}

pub(super) fn role(server: &Server) -> Diagnosis {
    if server.is_standby {
        Diagnosis::trouble(
            "role",
            "the server is a standby: it can only be read",
            "connect to the primary server",
        )
    } else {
        Diagnosis::fine("role", "primary")
    }
}

pub(super) fn durability(server: &Server) -> Diagnosis {
    let Server { fsync, synchronous_commit, full_page_writes, .. } = server;
    let finding = format!(
        "fsync {fsync}, synchronous_commit {synchronous_commit}, full_page_writes {full_page_writes}"
    );
    if fsync != "on" || full_page_writes != "on" {
        let remedy = "set fsync and full_page_writes to on: a crash of the machine can destroy the database";
        Diagnosis::trouble("durability", finding, remedy)
    } else if synchronous_commit == "off" {
        let remedy = "set synchronous_commit to on: the last moments before a crash of the server are lost";
        Diagnosis::trouble("durability", finding, remedy)
    } else {
        Diagnosis::fine("durability", finding)
    }
}

/// A pooler shows itself by answering from different processes of the server.
pub(super) async fn pooler(inner: &Inner, session: &mut Session) -> Answer<Diagnosis> {
    let mut pids = Vec::with_capacity(LOOKS);
    for _ in 0..LOOKS {
        pids.push(session.query_one(sql!("backend_pid"), &[]).await?.try_get::<_, i32>(0)?);
    }
    pids.dedup();
    let changes = pids.len() > 1;
    Ok(match (changes, inner.naming) {
        (true, Naming::Prepared) => Diagnosis::trouble(
            "pooler",
            "a transaction pooler lies between here and the server",
            "add `pooler=transaction` to the URL",
        ),
        (true, Naming::Unnamed) => {
            Diagnosis::fine("pooler", "transaction pooler, statements are not prepared")
        }
        (false, Naming::Unnamed) => {
            Diagnosis::fine("pooler", "set up for a transaction pooler; workers find jobs by polling")
        }
        (false, Naming::Prepared) => Diagnosis::fine("pooler", "none seen"),
    })
}

/// Sends a notification to itself. A connection that does not receive it receives none of other processes
/// either.
pub(super) async fn notifications(inner: &Inner) -> Diagnosis {
    if inner.naming == Naming::Unnamed {
        return Diagnosis::fine("notifications", "off behind a transaction pooler; workers poll");
    }
    match tokio::time::timeout(EAR, ear::hears_itself(inner)).await {
        Ok(Ok(delay)) => Diagnosis::fine("notifications", format!("heard after {} ms", delay.as_millis())),
        Ok(Err(_)) | Err(_) => Diagnosis::trouble(
            "notifications",
            "a notification did not come back",
            "connect to the server itself, or add `pooler=transaction` to the URL; until then workers poll",
        ),
    }
}
