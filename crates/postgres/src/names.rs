//! Queues by number: rows hold the number, requests the name.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use gristmill_core::Name;
use gristmill_sql::{Interner, QueueNumbers};

use crate::error::{Answer, undecodable};
use crate::row;
use crate::session::Session;
use crate::statement::sql;

/// How often a queue is made whose number is taken by chance.
const TRIES: usize = 4;

/// The queues and kinds a process has met.
#[derive(Debug, Default)]
pub(crate) struct Names(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    queues: QueueNumbers<i32>,
    kinds: Interner,
}

impl Names {
    /// The numbers of queues, in their order; a new queue is made, in the session's transaction if there is
    /// one.
    pub(crate) async fn numbers(&self, session: &mut Session, queues: &[Name]) -> Answer<Vec<i32>> {
        if let Some(known) = self.known_numbers(queues) {
            return Ok(known);
        }
        let names: Vec<&str> = queues.iter().map(Name::as_str).collect();
        for _ in 0..TRIES {
            session.execute(sql!("insert_queues"), &[&names]).await?;
            let found = self.look_up(session, queues).await?;
            if let Some(numbers) = found.into_iter().collect() {
                return Ok(numbers);
            }
        }
        Err(undecodable("queue").into())
    }

    /// The numbers of the queues that are there, as far as the process knows: for workers, which notice at
    /// their next heartbeat that the store was exchanged.
    pub(crate) async fn find(&self, session: &mut Session, queues: &[Name]) -> Answer<Vec<Option<i32>>> {
        if let Some(known) = self.known_numbers(queues) {
            return Ok(known.into_iter().map(Some).collect());
        }
        self.look_up(session, queues).await
    }

    /// The numbers of the queues that are there, whatever the process knows.
    pub(crate) async fn look_up(&self, session: &mut Session, queues: &[Name]) -> Answer<Vec<Option<i32>>> {
        let names: Vec<&str> = queues.iter().map(Name::as_str).collect();
        let mut numbers = HashMap::with_capacity(names.len());
        for row in session.query(sql!("queue_numbers"), &[&names]).await? {
            // It was asked for by a name, so it has one.
            if let Ok(name) = Name::new(row::get::<String>(&row, 1)?) {
                let number: i32 = row.try_get(0)?;
                self.lock().queues.remember(number, name.clone());
                numbers.insert(name, number);
            }
        }
        Ok(queues.iter().map(|queue| numbers.get(queue).copied()).collect())
    }

    /// The name of a queue by its number; the stand-in where none can be read. Nothing refers to a queue by
    /// that.
    pub(crate) async fn name(&self, session: &mut Session, number: i32) -> Answer<Name> {
        if let Some(name) = self.known_name(number) {
            return Ok(name);
        }
        let row = session.query_opt(sql!("queue_name"), &[&number]).await?;
        let text = row.map(|row| row::get::<String>(&row, 0)).transpose()?;
        let Some(name) = text.and_then(|text| Name::new(text).ok()) else { return Ok(Name::unreadable()) };
        self.lock().queues.remember(number, name.clone());
        Ok(name)
    }

    /// The name of a queue, if the process has met it.
    pub(crate) fn known_name(&self, number: i32) -> Option<Name> {
        self.lock().queues.name(number).cloned()
    }

    /// The queues the process has met.
    pub(crate) fn known(&self) -> Vec<i32> {
        self.lock().queues.iter().map(|(number, _)| number).collect()
    }

    /// The name with this text, if it is one; many rows share it, so it is allocated once.
    pub(crate) fn kind(&self, text: &str) -> Option<Name> {
        self.lock().kinds.name(text).ok()
    }

    /// What was read in a transaction that was rolled back is not true, nor what was read of another store.
    pub(crate) fn forget(&self) {
        self.lock().queues.forget();
    }

    /// The numbers of queues, in their order, if the process has met all of them.
    pub(crate) fn known_numbers(&self, queues: &[Name]) -> Option<Vec<i32>> {
        let known = self.lock();
        queues.iter().map(|queue| known.queues.number(queue)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
