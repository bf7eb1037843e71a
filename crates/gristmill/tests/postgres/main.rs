//! Workers on PostgreSQL servers with something in the way.

mod floor;
mod pooler;
mod standstill;
