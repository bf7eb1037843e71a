//! What the server remarks is no news for a program's log.

use std::sync::{Mutex, PoisonError};

use crate::fixture::Schema;

/// Lines of the driver.
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Log;

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.target().starts_with("tokio_postgres") && record.level() <= log::Level::Info {
            LINES.lock().unwrap_or_else(PoisonError::into_inner).push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

#[test]
fn a_migration_leaves_no_notices_of_the_server_in_the_log() {
    log::set_logger(&Log).expect("there is no other one");
    log::set_max_level(log::LevelFilter::Info);
    drop(Schema::new());
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    let notices: Vec<&String> = lines.iter().filter(|line| line.starts_with("NOTICE")).collect();
    assert!(notices.is_empty(), "{notices:?}");
}
