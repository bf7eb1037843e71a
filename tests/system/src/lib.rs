//! What tests of the whole product share: the program, a store in a folder of its own, and what the store
//! says in the end.

mod audit;
mod files;
mod product;
mod store;
mod worker;

pub use audit::{Account, audit};
pub use files::real_files;
pub use product::Product;
pub use store::Store;
pub use worker::{Worker, wait_until};
