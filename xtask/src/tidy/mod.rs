//! `cargo xtask tidy`: the rules of the house that the compiler does not know.
//!
//! Each check is a function from text to findings; only `files` and `run` touch the disk.

mod circles;
mod config;
mod edges;
mod files;
mod finding;
mod language;
mod length;
mod lexer;
mod machine_paths;
mod module_roots;
mod modules;
mod operations;
mod run;
mod source_rules;
mod statements;
mod type_names;
mod vocabulary;

pub(crate) use run::run;
