//! The schema: where it is, and how it gets up to date.

use gristmill_core::{Call, MigrateMode, MigrationReport};

use crate::error::Answer;
use crate::handle::Inner;

pub(crate) async fn migrate(_inner: &Inner, _call: Call, _request: &MigrateMode) -> Answer<MigrationReport> {
    todo!()
}
