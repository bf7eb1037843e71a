//! What is true of SQLite alone: files, processes, crashes, plans. What every backend means is in
//! `conformance.rs`.

mod again;
mod crash;
mod doctor;
mod erase;
mod exchanged;
mod file;
mod fixture;
mod log;
mod orphan;
mod outbox;
mod plan;
mod priority;
mod reading;
mod refused;
mod shared;
mod versions;
