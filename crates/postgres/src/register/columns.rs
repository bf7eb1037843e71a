//! Registers as a statement takes them.

use gristmill_core::{Change, Timestamp};
use tokio_postgres::types::ToSql;

/// Registers as columns of arrays.
pub(super) struct Columns<'c> {
    spaces: Vec<&'c str>,
    keys: Vec<&'c [u8]>,
    stamps: Vec<i64>,
    values: Vec<&'c str>,
    dues: Vec<Option<i64>>,
    forget_ats: Vec<Option<i64>>,
}

impl<'c> Columns<'c> {
    pub(super) fn of(changes: impl Iterator<Item = &'c Change>) -> Self {
        let mut columns = Self {
            spaces: Vec::new(),
            keys: Vec::new(),
            stamps: Vec::new(),
            values: Vec::new(),
            dues: Vec::new(),
            forget_ats: Vec::new(),
        };
        for Change { space, key, put, .. } in changes {
            columns.spaces.push(space.as_str());
            columns.keys.push(key);
            columns.stamps.push(put.stamp.get().cast_signed());
            columns.values.push(std::str::from_utf8(&put.value).expect("JSON is UTF-8"));
            columns.dues.push(put.due.map(Timestamp::as_millis));
            columns.forget_ats.push(put.forget_at.map(Timestamp::as_millis));
        }
        columns
    }

    pub(super) fn params(&self) -> [&(dyn ToSql + Sync); 6] {
        [&self.spaces, &self.keys, &self.stamps, &self.values, &self.dues, &self.forget_ats]
    }
}
