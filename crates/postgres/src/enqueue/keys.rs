//! Unique keys: who holds which, decided by the index of `uniques`.
//!
//! Keys are taken in ascending order, in the caller's transaction. Who finds one taken looks up the holder in
//! a new statement, since the snapshot of the first may be older than the holder; a key whose holder has gone
//! meanwhile is tried again.

use std::collections::{HashMap, HashSet};

use gristmill_core::{BackendError, BackendErrorKind, Enqueued, ExistingBy, JobId};
use uuid::Uuid;

use super::Item;
use crate::error::Answer;
use crate::row;
use crate::session::Session;
use crate::statement::sql;

/// How often a key is tried whose holders come and go.
const TRIES: usize = 16;

/// A key of a queue.
type Key = (i32, Vec<u8>);

/// Takes the keys of jobs and says of each whether it is to be stored, one answer a job, in their order.
/// Without keys nothing is asked: all are to be stored whose ids turn out to be new.
pub(super) async fn resolve(session: &mut Session, items: &[Item<'_>]) -> Answer<Vec<Enqueued>> {
    if items.iter().all(|(job, _)| job.spec.unique_key.is_none()) {
        return Ok(vec![Enqueued::Created; items.len()]);
    }
    let ids: Vec<Uuid> = items.iter().map(|(job, _)| row::uuid(job.id)).collect();
    let mut present = HashSet::new();
    for row in session.query(sql!("present_ids"), &[&ids]).await? {
        present.insert(row::job_id(row.try_get(0)?));
    }
    let mut keys = Keys { present, ..Keys::default() };
    for _ in 0..TRIES {
        let (answers, wanted) = keys.answers(items);
        if wanted.is_empty() {
            return Ok(answers);
        }
        keys.take(session, wanted).await?;
    }
    let message = "a unique key changes hands all the time";
    Err(BackendError::new(BackendErrorKind::Busy, message)
        .with_hint("the same call may succeed later")
        .into())
}

/// Frees the keys that were taken for jobs which were there by then.
pub(super) async fn give_back(session: &mut Session, items: &[Item<'_>]) -> Answer<()> {
    if items.is_empty() {
        return Ok(());
    }
    let (queues, keys): (Vec<i32>, Vec<Vec<u8>>) = items.iter().filter_map(key).unzip();
    session.execute(sql!("give_back_uniques"), &[&queues, &keys]).await
}

fn key((job, queue): &Item<'_>) -> Option<Key> {
    job.spec.unique_key.as_ref().map(|key| (*queue, key.as_str().as_bytes().to_vec()))
}

/// What is known so far.
#[derive(Default)]
struct Keys {
    /// Ids of jobs that were there before.
    present: HashSet<JobId>,
    holders: HashMap<Key, JobId>,
    /// The keys this transaction took.
    taken: HashSet<Key>,
}

impl Keys {
    /// What becomes of each job as far as is known, as if one came after the other, and the keys that are to
    /// be taken.
    fn answers(&self, items: &[Item<'_>]) -> (Vec<Enqueued>, HashMap<Key, JobId>) {
        let mut seen: HashSet<JobId> = self.present.clone();
        let mut wanted: HashMap<Key, JobId> = HashMap::new();
        let mut answer = |item: &Item<'_>| {
            let id = item.0.id;
            if seen.contains(&id) {
                return Enqueued::Existing { id, by: ExistingBy::Id };
            }
            let Some(key) = key(item) else {
                seen.insert(id);
                return Enqueued::Created;
            };
            let holder = self.holders.get(&key).or_else(|| wanted.get(&key)).copied();
            match holder {
                Some(holder) if holder != id => Enqueued::Existing { id: holder, by: ExistingBy::UniqueKey },
                Some(_) if !self.taken.contains(&key) => Enqueued::Existing { id, by: ExistingBy::Id },
                Some(_) => {
                    seen.insert(id);
                    Enqueued::Created
                }
                None => {
                    wanted.insert(key, id);
                    seen.insert(id);
                    Enqueued::Created
                }
            }
        };
        let answers = items.iter().map(&mut answer).collect();
        (answers, wanted)
    }

    /// Takes keys, or learns who holds them. Those of holders that have gone meanwhile stay unknown.
    async fn take(&mut self, session: &mut Session, wanted: HashMap<Key, JobId>) -> Answer<()> {
        let mut wanted: Vec<(Key, JobId)> = wanted.into_iter().collect();
        wanted.sort_unstable();
        let queues: Vec<i32> = wanted.iter().map(|((queue, _), _)| *queue).collect();
        let keys: Vec<&[u8]> = wanted.iter().map(|((_, key), _)| key.as_slice()).collect();
        let ids: Vec<Uuid> = wanted.iter().map(|(_, id)| row::uuid(*id)).collect();
        for row in session.query(sql!("take_uniques"), &[&queues, &keys, &ids]).await? {
            let key = (row.try_get(0)?, row.try_get(1)?);
            self.holders.insert(Key::clone(&key), row::job_id(row.try_get(2)?));
            self.taken.insert(key);
        }
        let lost: Vec<&Key> =
            wanted.iter().map(|(key, _)| key).filter(|key| !self.taken.contains(*key)).collect();
        if lost.is_empty() {
            return Ok(());
        }
        let queues: Vec<i32> = lost.iter().map(|(queue, _)| *queue).collect();
        let keys: Vec<&[u8]> = lost.iter().map(|(_, key)| key.as_slice()).collect();
        for row in session.query(sql!("unique_holders"), &[&queues, &keys]).await? {
            self.holders.insert((row.try_get(0)?, row.try_get(1)?), row::job_id(row.try_get(2)?));
        }
        Ok(())
    }
}
