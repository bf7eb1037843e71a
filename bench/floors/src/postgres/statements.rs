//! The statements. Each is a transaction of its own.

/// Stores a batch of jobs, ready at once.
pub(super) const INSERT_MANY: &str = "
    WITH new AS (
        SELECT * FROM unnest($1::uuid[], $2::bytea[]) AS new (id, args)
    ), ready AS (
        INSERT INTO ready (run_at, id, run, attempt, priority, queue)
        SELECT $3, id, 1, 1, $4, $5 FROM new
    )
    INSERT INTO jobs (id, created_at, run_at, max_attempts, priority, kind, queue, args)
    SELECT id, $3, $3, $6, $4, $7, $5, args FROM new";

/// Stores one job, ready at once.
pub(super) const INSERT_ONE: &str = "
    WITH ready AS (
        INSERT INTO ready (run_at, id, run, attempt, priority, queue) VALUES ($3, $1, 1, 1, $4, $5)
    )
    INSERT INTO jobs (id, created_at, run_at, max_attempts, priority, kind, queue, args)
    VALUES ($1, $3, $3, $6, $4, $7, $5, $2)";

/// Stores one job, ready at once, and wakes who listens when it commits.
pub(super) const INSERT_AND_NOTIFY: &str = "
    WITH ready AS (
        INSERT INTO ready (run_at, id, run, attempt, priority, queue) VALUES ($3, $1, 1, 1, $4, $5)
    ), job AS (
        INSERT INTO jobs (id, created_at, run_at, max_attempts, priority, kind, queue, args)
        VALUES ($1, $3, $3, $6, $4, $7, $5, $2)
    )
    SELECT pg_notify('gristmill_floors', '')";

/// Subscribes to what [`INSERT_AND_NOTIFY`] says.
pub(super) const LISTEN: &str = "LISTEN gristmill_floors";

/// Takes the first jobs behind the cursor `($3, $4)` and leases them under one claim.
pub(super) const FETCH: &str = "
    WITH fetched AS (
        DELETE FROM ready WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM ready
            WHERE queue = $1 AND priority = $2 AND (run_at, id) > ($3, $4)
            ORDER BY run_at, id
            LIMIT $5
            FOR UPDATE SKIP LOCKED
        ))
        RETURNING run_at, id, run, attempt
    ), claim AS (
        INSERT INTO claims (expires_at, worker, ids)
        SELECT $6, $7, array_agg(id) FROM fetched HAVING count(*) > 0
        RETURNING claim
    )
    SELECT claim.claim, fetched.run_at, fetched.run, fetched.attempt, jobs.id, jobs.args
    FROM claim, fetched JOIN jobs ON jobs.id = fetched.id";

/// Records the runs of a claim as completed, if it still stands.
pub(super) const FINISH_APPEND: &str = "
    WITH finished AS (DELETE FROM claims WHERE claim = $1 RETURNING claim)
    INSERT INTO attempts (id, started_at, finished_at, run, attempt, outcome, worker)
    SELECT run.id, $4, $5, run.run, run.attempt, 1, $6
    FROM finished, unnest($2::uuid[], $3::integer[], $7::smallint[]) AS run (id, run, attempt)";

/// Deletes the jobs of a claim, if it still stands.
pub(super) const FINISH_DELETE: &str = "
    WITH finished AS (DELETE FROM claims WHERE claim = $1 RETURNING claim)
    DELETE FROM jobs WHERE id = ANY ($2::uuid[]) AND EXISTS (SELECT FROM finished)";
