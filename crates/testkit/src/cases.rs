//! The table of all cases, one module an area.

mod enqueue;
mod fetch;
mod finish;
mod lease;
mod priority;
mod unique;

use crate::Case;

const AREAS: &[&[Case]] =
    &[enqueue::CASES, unique::CASES, priority::CASES, fetch::CASES, lease::CASES, finish::CASES];

/// Every case, area by area.
pub fn all_cases() -> impl Iterator<Item = Case> {
    AREAS.iter().flat_map(|area| area.iter().copied())
}
