//! Unique keys, taken again by jobs that had ended.

use std::collections::{BTreeMap, HashMap};

use gristmill_core::{BackendError, BackendErrorKind};
use uuid::Uuid;

use crate::error::Answer;
use crate::locate::Located;
use crate::session::Session;
use crate::statement::sql;

/// How often keys are wanted whose holders come and go.
const ROUNDS: usize = 10;

/// A queue's number and a key.
type Key = (i32, Vec<u8>);

/// Takes the unique keys of these jobs, and tells who holds those that another job has; of several jobs here
/// that want one key, the first gets it.
pub(super) async fn take_uniques(session: &mut Session, jobs: &[&Located]) -> Answer<HashMap<Uuid, Uuid>> {
    let wanted: Vec<(Key, Uuid)> = jobs
        .iter()
        .filter_map(|job| Some(((job.queue, job.options.unique_key.clone()?.into_bytes()), job.id)))
        .collect();
    // In the order of the keys, so that two callers do not wait for each other crosswise.
    let mut open: BTreeMap<Key, Uuid> = BTreeMap::new();
    for (key, id) in &wanted {
        open.entry(key.clone()).or_insert(*id);
    }
    let mut holders: HashMap<Key, Uuid> = HashMap::new();
    for _ in 0..ROUNDS {
        if open.is_empty() {
            let other = |(key, id): &(Key, Uuid)| {
                let holder = holders.get(key).copied()?;
                (holder != *id).then_some((*id, holder))
            };
            return Ok(wanted.iter().filter_map(other).collect());
        }
        holders.extend(take(session, &open).await?);
        open.retain(|key, _| !holders.contains_key(key));
        if !open.is_empty() {
            holders.extend(find(session, &open).await?);
            open.retain(|key, _| !holders.contains_key(key));
        }
    }
    Err(BackendError::new(BackendErrorKind::Busy, "unique keys change hands faster than they can be taken")
        .with_hint("the same call may succeed a moment later")
        .into())
}

/// The keys that were free, with who has them now.
async fn take(session: &mut Session, open: &BTreeMap<Key, Uuid>) -> Answer<Vec<(Key, Uuid)>> {
    let (queues, keys) = columns(open);
    let ids: Vec<Uuid> = open.values().copied().collect();
    read(session.query(sql!("take_uniques"), &[&queues, &keys, &ids]).await?)
}

/// The keys that are not free, with who has them.
async fn find(session: &mut Session, open: &BTreeMap<Key, Uuid>) -> Answer<Vec<(Key, Uuid)>> {
    let (queues, keys) = columns(open);
    read(session.query(sql!("unique_holders"), &[&queues, &keys]).await?)
}

fn columns(open: &BTreeMap<Key, Uuid>) -> (Vec<i32>, Vec<&[u8]>) {
    open.keys().map(|(queue, key)| (*queue, key.as_slice())).unzip()
}

fn read(rows: Vec<tokio_postgres::Row>) -> Answer<Vec<(Key, Uuid)>> {
    rows.into_iter().map(|row| Ok(((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?))).collect()
}
