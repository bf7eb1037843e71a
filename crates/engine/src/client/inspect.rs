//! Looking without touching.

use bytes::Bytes;
use gristmill_core::{
    Count, Diagnosis, Error, JobEvent, JobFilter, JobId, JobRecord, ListRequest, MigrateMode,
    MigrationReport, Page, Ping, RunRecord, StatsReply, StatsRequest, WorkerRecord,
};

use super::Client;

impl Client {
    /// The most runs of a job that [`Self::runs`] answers.
    pub const MAX_RUNS: usize = 1_000;

    /// A job with all that the store knows of it; `None` when there is none, or no longer.
    ///
    /// # Errors
    /// The store's.
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn job(&self, id: JobId) -> Result<Option<JobRecord>, Error> {
        Ok(self.jobs(vec![id]).await?.pop().flatten())
    }

    /// Jobs by id, in the order of the ids; `None` for one that is not there.
    ///
    /// # Errors
    /// The store's.
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn jobs(&self, ids: Vec<JobId>) -> Result<Vec<Option<JobRecord>>, Error> {
        self.call("get", |backend, call| backend.get(call, ids)).await
    }

    /// A page of jobs. The next one begins at its `next`; a page may be short although more follows.
    ///
    /// # Errors
    /// The store's.
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn list(&self, request: ListRequest) -> Result<Page<JobRecord>, Error> {
        self.call("list", |backend, call| backend.list(call, request)).await
    }

    /// The ended runs of a job, oldest first; of more than [`Self::MAX_RUNS`] the newest. Of a job that keeps
    /// coming back the records of its first and its newest runs are kept ([`RunRecord::NEWEST_KEPT`]), those
    /// between go now and then.
    ///
    /// # Errors
    /// The store's.
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn runs(&self, id: JobId) -> Result<Vec<RunRecord>, Error> {
        self.call("list_runs", |backend, call| backend.list_runs(call, id, Self::MAX_RUNS)).await
    }

    /// What happened to a job outside its runs: operators' acts, stale finishes; oldest first.
    ///
    /// # Errors
    /// The store's.
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn events(&self, id: JobId) -> Result<Vec<JobEvent>, Error> {
        self.call("list_events", |backend, call| backend.list_events(call, id)).await
    }

    /// The checkpoint that the latest attempt of a job left, if any.
    ///
    /// # Errors
    /// The store's.
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn checkpoint(&self, id: JobId) -> Result<Option<Bytes>, Error> {
        self.call("checkpoint", |backend, call| backend.checkpoint(call, id)).await
    }

    /// How many jobs match, counted up to `cap`; `None` counts all, which may take long.
    ///
    /// # Errors
    /// The store's.
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn count(&self, filter: JobFilter, cap: Option<u64>) -> Result<Count, Error> {
        self.call("count", |backend, call| backend.count(call, filter, cap)).await
    }

    /// Numbers of every queue, each counted up to [`StatsRequest::DEFAULT_CAP`].
    ///
    /// # Errors
    /// The store's.
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn stats(&self) -> Result<StatsReply, Error> {
        self.stats_with(StatsRequest::new(Some(StatsRequest::DEFAULT_CAP))).await
    }

    /// Numbers of every queue, with another cap or none.
    ///
    /// # Errors
    /// The store's.
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn stats_with(&self, request: StatsRequest) -> Result<StatsReply, Error> {
        self.call("stats", |backend, call| backend.stats(call, request)).await
    }

    /// Every registered worker, by the time it started.
    ///
    /// # Errors
    /// The store's.
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn workers(&self) -> Result<Vec<WorkerRecord>, Error> {
        self.call("list_workers", |backend, call| backend.list_workers(call)).await
    }

    /// Whether the store answers, and what it says of itself.
    ///
    /// # Errors
    /// The store's.
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn ping(&self) -> Result<Ping, Error> {
        self.call("ping", |backend, call| backend.ping(call)).await
    }

    /// Examines the store's settings, schema and health.
    ///
    /// # Errors
    /// The store's.
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn diagnose(&self) -> Result<Vec<Diagnosis>, Error> {
        self.call("diagnose", |backend, call| backend.diagnose(call)).await
    }

    /// Creates the schema or brings it up to date, or only says where it is.
    ///
    /// # Errors
    /// The store's; a schema newer than this version knows is refused.
    ///
    /// # Cancel safety
    /// Dropped, the schema is migrated or not, nothing in between.
    pub async fn migrate(&self, mode: MigrateMode) -> Result<MigrationReport, Error> {
        self.call("migrate", |backend, call| backend.migrate(call, mode)).await
    }
}
