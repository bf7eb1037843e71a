//! What every adapter of the outbox has to do, as checks that its tests run.
