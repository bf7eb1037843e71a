//! Whole runs of the program: what it prints, what it stores, how it ends.

#[cfg(feature = "bench")]
mod bench;
mod completions;
mod demo;
mod doctor;
mod enqueue;
mod errors;
mod exec;
mod help;
mod input;
mod jobs;
mod kin;
mod known;
mod last_line;
mod postgres;
mod program;
mod readme;
mod registers;
mod schedules;
mod shapes;
mod starts;
mod store;
mod tls;
mod trust;
mod waits;
