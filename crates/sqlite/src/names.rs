//! Queues by number: rows hold the number, requests the name.

use gristmill_core::Name;
use gristmill_sql::QueueNumbers;
use rusqlite::{Connection, OptionalExtension};

use crate::error::Answer;
use crate::row;

/// The queues a connection has met.
#[derive(Debug, Default)]
pub(crate) struct Queues(QueueNumbers<i64>);

impl Queues {
    /// The number of a queue that has, or had, jobs or is paused.
    pub(crate) fn find(&mut self, connection: &Connection, name: &Name) -> Answer<Option<i64>> {
        if let Some(number) = self.0.number(name) {
            return Ok(Some(number));
        }
        let mut select = connection.prepare_cached("SELECT queue FROM queues WHERE name = ?1")?;
        let found = select.query_row([name.as_str()], |row| row.get(0)).optional()?;
        if let Some(number) = found {
            self.0.remember(number, name.clone());
        }
        Ok(found)
    }

    /// The number of a queue, new or known.
    pub(crate) fn number(&mut self, connection: &Connection, name: &Name) -> Answer<i64> {
        if let Some(number) = self.find(connection, name)? {
            return Ok(number);
        }
        connection.prepare_cached("INSERT INTO queues (name) VALUES (?1)")?.execute([name.as_str()])?;
        let number = connection.last_insert_rowid();
        self.0.remember(number, name.clone());
        Ok(number)
    }

    /// The name of a queue by its number; the stand-in where none can be read. Nothing refers to a queue by
    /// that.
    pub(crate) fn name(&mut self, connection: &Connection, number: i64) -> Answer<Name> {
        if let Some(name) = self.0.name(number) {
            return Ok(name.clone());
        }
        let mut select = connection.prepare_cached("SELECT name FROM queues WHERE queue = ?1")?;
        let mut rows = select.query([number])?;
        let name = rows.next()?.and_then(|row| Name::new(row::text(row, 0)?).ok());
        let Some(name) = name else { return Ok(Name::unreadable()) };
        self.0.remember(number, name.clone());
        Ok(name)
    }

    /// After a rollback: a queue that was made in the transaction is not there.
    pub(crate) fn forget(&mut self) {
        self.0.forget();
    }
}
