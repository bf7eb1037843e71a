//! The table of all cases, one module an area.

mod again;
mod audit;
mod batch;
mod bounds;
mod cancel;
mod clock;
mod commit;
mod commit_bounds;
mod contention;
mod crash;
mod deadline;
mod delete;
mod effects;
mod enqueue;
mod fetch;
mod finish;
mod hold;
mod inspect;
mod kinds;
mod last_run;
mod lease;
mod load;
mod notify;
mod numbers;
mod often;
mod pages;
mod parked;
mod pause;
mod poison;
mod priority;
mod promote;
mod prune;
mod record;
mod registers;
mod rescue;
mod retry;
mod transaction;
mod undecodable;
mod unique;
mod update;
mod worker;

use crate::Case;

const AREAS: &[&[Case]] = &[
    enqueue::CASES,
    unique::CASES,
    priority::CASES,
    fetch::CASES,
    batch::CASES,
    lease::CASES,
    finish::CASES,
    transaction::CASES,
    retry::CASES,
    cancel::CASES,
    promote::CASES,
    rescue::CASES,
    poison::CASES,
    prune::CASES,
    pause::CASES,
    inspect::CASES,
    pages::CASES,
    kinds::CASES,
    parked::CASES,
    record::CASES,
    hold::CASES,
    update::CASES,
    delete::CASES,
    audit::CASES,
    commit::CASES,
    effects::CASES,
    commit_bounds::CASES,
    registers::CASES,
    notify::CASES,
    worker::CASES,
    contention::CASES,
    load::CASES,
    bounds::CASES,
    clock::CASES,
    deadline::CASES,
    crash::CASES,
    again::CASES,
    often::CASES,
    last_run::CASES,
    undecodable::CASES,
    numbers::CASES,
];

/// Every case, area by area.
pub fn all_cases() -> impl Iterator<Item = Case> {
    AREAS.iter().flat_map(|area| area.iter().copied())
}
