//! Whether a notification comes back: on a connection of its own, as the listener has one.

use std::time::{Duration, Instant};

use crate::error::Answer;
use crate::handle::Inner;

/// Says something to itself, and waits until it is heard. Others cannot read it and pass over it.
pub(super) async fn hears_itself(inner: &Inner) -> Answer<Duration> {
    let word = format!("ear {:016x}", fastrand::u64(..));
    let mut ear = inner.dial.listen(&inner.statements, &inner.servers).await?;
    let mut is_heard = false;
    let began = Instant::now();
    ear.notify(&word, |text| is_heard |= text == word).await?;
    while !is_heard {
        is_heard = ear.next().await? == word;
    }
    Ok(began.elapsed())
}
