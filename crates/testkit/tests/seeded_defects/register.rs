//! Defects of registers.

use gristmill_core::{
    Backend, BackendError, Call, Change, Committed, EnqueueRequest, Expect, RegisterQuery, RegisterSelect,
};
use gristmill_memory::Memory;

use crate::defect::Defect;

pub(crate) async fn commit(
    inner: &Memory,
    defect: Defect,
    call: Call,
    changes: Vec<Change>,
) -> Result<Vec<Committed>, BackendError> {
    if defect == Defect::ComparesRegistersThenWrites && changes.len() == 1 {
        return Ok(vec![compare_then_write(inner, call, changes[0].clone()).await?]);
    }
    let mut answers = inner.commit(call, changes.clone()).await?;
    for (change, answer) in changes.into_iter().zip(&mut answers) {
        let is_stale = matches!(answer, Committed::Stale(_));
        if is_stale && defect == Defect::StoresEffectsOfStaleChanges {
            inner.enqueue(call, EnqueueRequest::new(change.effects.jobs)).await?;
        }
        if *answer == Committed::Again && defect == Defect::ForgetsOwnStamps {
            *answer = Committed::Stale(None);
        }
    }
    Ok(answers)
}

async fn compare_then_write(
    inner: &Memory,
    call: Call,
    mut change: Change,
) -> Result<Committed, BackendError> {
    let select = RegisterSelect::Keys(vec![change.key.clone()]);
    let page = inner.list_registers(call, RegisterQuery::new(change.space.clone(), select)).await?;
    let stands = page.items.first().map(|(_, register)| register.stamp);
    let holds = match change.expect {
        Expect::Absent => stands.is_none(),
        Expect::Stamp(stamp) => stands == Some(stamp),
        Expect::Any => false,
    };
    if !holds {
        return Ok(inner.commit(call, vec![change]).await?.remove(0));
    }
    // Here another writer comes in between.
    for _ in 0..100 {
        std::thread::yield_now();
    }
    change.expect = Expect::Any;
    let jobs = std::mem::take(&mut change.effects.jobs);
    let answer = inner.commit(call, vec![change]).await?.remove(0);
    if !matches!(answer, Committed::Done(_)) {
        return Ok(answer);
    }
    let stored = inner.enqueue(call, EnqueueRequest::new(jobs)).await?.jobs;
    Ok(Committed::Done(stored.into_iter().map(Some).collect()))
}
