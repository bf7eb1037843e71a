//! Pages of registers.

use bytes::Bytes;
use gristmill_core::{Call, RegisterPage, RegisterQuery, RegisterSelect, Timestamp};

use super::read;
use crate::error::Answer;
use crate::handle::Inner;
use crate::row;
use crate::statement::sql;

pub(crate) async fn list_registers(inner: &Inner, call: Call, query: &RegisterQuery) -> Answer<RegisterPage> {
    let (space, now) = (query.space.as_str(), call.now.map(Timestamp::as_millis));
    // One more than wanted says whether more follow.
    let limit = row::size(query.limit.min(RegisterQuery::MAX_LIMIT) + 1);
    let mut session = inner.reads().await?;
    let rows = match &query.select {
        RegisterSelect::Keys(keys) => {
            let range = query.keys();
            let is_in_range = |key: &&[u8]| *key >= range.from.as_slice() && *key < range.before.as_slice();
            let mut keys: Vec<&[u8]> = keys.iter().map(AsRef::as_ref).filter(is_in_range).collect();
            keys.sort_unstable();
            keys.dedup();
            session.query(sql!("registers_of_keys"), &[&space, &keys, &now]).await?
        }
        RegisterSelect::DueBefore(before) => {
            let range = query.dues(*before);
            let statement =
                if query.descending { sql!("registers_by_due_descending") } else { sql!("registers_by_due") };
            let (from, before) = (range.from.0.as_millis(), range.before.0.as_millis());
            session
                .query(statement, &[&space, &from, &range.from.1, &before, &range.before.1, &now, &limit])
                .await?
        }
        RegisterSelect::All | RegisterSelect::Prefix(_) => {
            let range = query.keys();
            let statement =
                if query.descending { sql!("registers_by_key_descending") } else { sql!("registers_by_key") };
            session.query(statement, &[&space, &range.from, &range.before, &now, &limit]).await?
        }
    };
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        found.push((Bytes::from(row.try_get::<_, Vec<u8>>(0)?), read(row, 1)?));
    }
    if matches!(query.select, RegisterSelect::Keys(_)) {
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        if query.descending {
            found.reverse();
        }
    }
    Ok(query.page(found))
}
