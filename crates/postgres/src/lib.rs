//! The PostgreSQL backend of Gristmill.

mod member;
mod statement;
