//! What the server says of itself, and whether it is as it should be.

use gristmill_core::{Call, Diagnosis, Durability, Ping, Timestamp};

use crate::error::Answer;
use crate::handle::Inner;
use crate::row;
use crate::statement::sql;

pub(crate) async fn ping(inner: &Inner, call: Call, _request: &()) -> Answer<Ping> {
    let mut session = inner.reads().await?;
    let row = session.query_one(sql!("server"), &[&call.now.map(Timestamp::as_millis)]).await?;
    let now = row::timestamp(&row, 0)?;
    if call.now.is_none() {
        inner.learn_clock(now);
    }
    let setting = |column: usize| row.try_get::<_, String>(column);
    let (fsync, synchronous_commit) = (setting(2)?, setting(3)?);
    let durability = if fsync == "on" && synchronous_commit != "off" {
        Durability::PowerLoss
    } else {
        Durability::ProcessCrash
    };
    let mut ping = Ping::new(now, format!("PostgreSQL {}", setting(1)?), durability);
    ping.settings = vec![
        ("fsync".to_owned(), fsync),
        ("synchronous_commit".to_owned(), synchronous_commit),
        ("full_page_writes".to_owned(), setting(4)?),
        ("max_connections".to_owned(), setting(5)?),
        ("shared_buffers".to_owned(), setting(6)?),
    ];
    Ok(ping)
}

pub(crate) async fn diagnose(_inner: &Inner, _call: Call, _request: &()) -> Answer<Vec<Diagnosis>> {
    todo!()
}
