//! Queues by number: rows hold the number, requests the name. A queue is never forgotten, so what is known stays true.

use std::collections::{HashMap, HashSet};

use gristmill_core::Name;
use rusqlite::{Connection, OptionalExtension};

use crate::error::{Answer, undecodable};

/// Names that a process remembers at most; beyond, it starts anew.
const REMEMBERED: usize = 16_384;

/// The queues a connection has met.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    numbers: HashMap<Name, i64>,
    names: HashMap<i64, Name>,
}

impl Queues {
    /// The number of a queue that has, or had, jobs or is paused.
    pub(crate) fn find(&mut self, connection: &Connection, name: &Name) -> Answer<Option<i64>> {
        if let Some(number) = self.numbers.get(name) {
            return Ok(Some(*number));
        }
        let mut select = connection.prepare_cached("SELECT queue FROM queues WHERE name = ?1")?;
        let found = select.query_row([name.as_str()], |row| row.get(0)).optional()?;
        if let Some(number) = found {
            self.remember(number, name.clone());
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
        self.remember(number, name.clone());
        Ok(number)
    }

    /// The name of a queue by its number.
    pub(crate) fn name(&mut self, connection: &Connection, number: i64) -> Answer<Name> {
        if let Some(name) = self.names.get(&number) {
            return Ok(name.clone());
        }
        let mut select = connection.prepare_cached("SELECT name FROM queues WHERE queue = ?1")?;
        let text: String = select.query_row([number], |row| row.get(0))?;
        let name = Name::new(text).map_err(|_| undecodable("queue name"))?;
        self.remember(number, name.clone());
        Ok(name)
    }

    /// After a rollback: a queue that was made in the transaction is not there.
    pub(crate) fn forget(&mut self) {
        self.numbers.clear();
        self.names.clear();
    }

    fn remember(&mut self, number: i64, name: Name) {
        if self.names.len() >= REMEMBERED {
            self.forget();
        }
        self.names.insert(number, name.clone());
        self.numbers.insert(name, number);
    }
}

/// Names that many rows share, so that each is allocated once.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    latest: Option<Name>,
    names: HashSet<Name>,
}

impl Interner {
    /// The name with this text.
    pub(crate) fn name(&mut self, text: &str) -> Answer<Name> {
        // Neighbours in a queue are mostly of one kind: a comparison is cheaper than a hash.
        if let Some(latest) = self.latest.as_ref().filter(|latest| latest.as_str() == text) {
            return Ok(latest.clone());
        }
        let name = match self.names.get(text) {
            Some(name) => name.clone(),
            None => self.remember(text)?,
        };
        self.latest = Some(name.clone());
        Ok(name)
    }

    fn remember(&mut self, text: &str) -> Answer<Name> {
        if self.names.len() >= REMEMBERED {
            self.names.clear();
        }
        let name = Name::new(text).map_err(|_| undecodable("name"))?;
        self.names.insert(name.clone());
        Ok(name)
    }
}
