//! What the store says of itself.

mod trial;

use std::cmp::Ordering;
use std::path::Path;
use std::time::Duration;

use gristmill_core::{BackendError, Diagnosis, Ping, Timestamp, format_duration};
use gristmill_sql::{requests_finding, waiting_requests_finding};
use rusqlite::Connection;

use crate::connection::Synchronous;
use crate::error::Answer;
use crate::migrate::{self, Neighbours};
use crate::{filesystem, row};

/// A larger file is not read through for a diagnosis, which may take a second.
const CHECKED_BYTES: i64 = 256 * 1024 * 1024;
/// Less free space than this is reported as trouble.
const ROOM_BYTES: u64 = 256 * 1024 * 1024;
const MIB: u64 = 1024 * 1024;

pub(crate) fn ping(
    connection: &Connection,
    synchronous: Synchronous,
    busy_timeout: Duration,
    now: Timestamp,
) -> Answer<Ping> {
    // A read of the file itself, so that the answer tells something.
    let _: i64 = connection.query_row("SELECT count(*) FROM meta", [], |row| row.get(0))?;
    let mut ping = Ping::new(now, format!("SQLite {}", rusqlite::version()), synchronous.durability());
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    ping.settings = vec![
        ("journal_mode".to_owned(), journal_mode(connection)?),
        ("synchronous".to_owned(), synchronous.as_str().to_lowercase()),
        ("page_size".to_owned(), number("page_size")?.to_string()),
        ("cache_kib".to_owned(), number("cache_size")?.saturating_neg().to_string()),
        ("busy_timeout".to_owned(), format_duration(busy_timeout)),
    ];
    Ok(ping)
}

fn journal_mode(connection: &Connection) -> Answer<String> {
    Ok(connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?)
}

pub(crate) fn diagnose(
    connection: &Connection,
    path: &Path,
    synchronous: Synchronous,
    now: Timestamp,
) -> Vec<Diagnosis> {
    let mut findings = vec![
        Diagnosis::fine("file", path.display().to_string()),
        or_trouble("schema", schema(connection)),
        or_trouble("journal mode", journal(connection, path)),
        durability(synchronous),
        or_trouble("integrity", integrity(connection)),
        room(path),
        permissions(path),
        Diagnosis::fine("clock", now.to_string()),
    ];
    if findings.iter().any(|finding| finding.check == "schema" && finding.ok) {
        findings.push(or_trouble("requests", faulty_requests(connection)));
        findings.push(or_trouble("requests", waiting_requests(connection, now)));
        findings.extend(trial::findings(path, now));
    }
    findings
}

/// A check that fails is a finding of its own: the others are answered all the same.
fn or_trouble(check: &str, found: Answer<Diagnosis>) -> Diagnosis {
    found.unwrap_or_else(|fail| {
        let error = BackendError::from(fail);
        let remedy = error.hint().unwrap_or("look at the file with the sqlite3 shell").to_owned();
        Diagnosis::trouble(check, error.to_string(), remedy)
    })
}

fn schema(connection: &Connection) -> Answer<Diagnosis> {
    let (version, latest) = (migrate::version(connection, Neighbours::Refused)?, migrate::latest());
    let finding = format!("version {version} of {latest}");
    Ok(match version.cmp(&latest) {
        Ordering::Less => Diagnosis::trouble("schema", finding, "run `gristmill migrate`"),
        Ordering::Equal => Diagnosis::fine("schema", finding),
        Ordering::Greater => {
            let finding = format!("version {version}, which serves this program of version {latest}, too");
            Diagnosis::fine("schema", finding)
        }
    })
}

fn journal(connection: &Connection, path: &Path) -> Answer<Diagnosis> {
    let mut mode = journal_mode(connection)?;
    // A file that is read as it is, without its log, looks like one that never had any; its header knows.
    if filesystem::says_wal(path) {
        "wal".clone_into(&mut mode);
    }
    Ok(if mode.eq_ignore_ascii_case("wal") {
        Diagnosis::fine("journal mode", mode)
    } else {
        Diagnosis::trouble("journal mode", mode, "close other programs that use the file, then open it again")
    })
}

fn durability(synchronous: Synchronous) -> Diagnosis {
    let finding =
        format!("synchronous={}: an enqueue {}", synchronous.as_str(), synchronous.durability().as_str());
    if synchronous == Synchronous::Off {
        Diagnosis::trouble(
            "durability",
            finding,
            "a loss of power may corrupt the file; use it for tests only",
        )
    } else {
        Diagnosis::fine("durability", finding)
    }
}

fn integrity(connection: &Connection) -> Answer<Diagnosis> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let bytes = number("page_count")?.saturating_mul(number("page_size")?);
    if bytes > CHECKED_BYTES {
        let finding = "not checked, the file is large; `PRAGMA integrity_check` in the sqlite3 shell does it";
        return Ok(Diagnosis::fine("integrity", finding));
    }
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok(if found == "ok" {
        Diagnosis::fine("integrity", found)
    } else {
        Diagnosis::trouble("integrity", found, "restore a backup, or save what is left with `.recover`")
    })
}

/// Requests of callers that were set aside.
fn faulty_requests(connection: &Connection) -> Answer<Diagnosis> {
    let mut select = connection.prepare_cached(include_str!("../sql/faulty_requests.sql"))?;
    let (faulty, oldest) = select.query_row([], |row| {
        let fault = row::string(row, 2).unwrap_or_default();
        Ok((row::amount(row::integer(row, 0)), Some((row::integer(row, 1), fault))))
    })?;
    Ok(requests_finding(faulty, oldest))
}

fn waiting_requests(connection: &Connection, now: Timestamp) -> Answer<Diagnosis> {
    let mut select = connection.prepare_cached(include_str!("../sql/waiting_requests.sql"))?;
    let (waiting, oldest, is_served) = select.query_row([now.as_millis()], |row| {
        Ok((row::amount(row::integer(row, 0)), row.get(1)?, row.get(2)?))
    })?;
    Ok(waiting_requests_finding(waiting, oldest, is_served))
}

fn room(path: &Path) -> Diagnosis {
    match filesystem::free_bytes(path) {
        Some(bytes) if bytes < ROOM_BYTES => {
            let finding = format!("{} MiB are free", bytes / MIB);
            Diagnosis::trouble("disk space", finding, "free some, or shorten the retention and prune")
        }
        Some(bytes) => Diagnosis::fine("disk space", format!("{} MiB are free", bytes / MIB)),
        None => Diagnosis::fine("disk space", "unknown on this system"),
    }
}

fn permissions(path: &Path) -> Diagnosis {
    match filesystem::mode(path) {
        Some(mode) if mode & 0o007 != 0 => {
            let remedy = format!("chmod 600 {}", path.display());
            Diagnosis::trouble("permissions", format!("{mode:o}: others may read the jobs"), remedy)
        }
        Some(mode) => Diagnosis::fine("permissions", format!("{mode:o}")),
        None => Diagnosis::fine("permissions", "unknown on this system"),
    }
}
