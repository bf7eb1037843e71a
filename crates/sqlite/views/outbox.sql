-- The outbox: jobs stored, cancelled, changed and read inside a transaction of somebody else's, over any driver, each by one
-- statement with one JSON text as its parameter:
--
--     INSERT INTO outbox_enqueue (request) VALUES (?1) RETURNING (SELECT answer FROM outbox_answer)
--     INSERT INTO outbox_cancel (request) VALUES (?1) RETURNING (SELECT answer FROM outbox_answer)
--     INSERT INTO outbox_update (request) VALUES (?1) RETURNING (SELECT answer FROM outbox_answer)
--
-- or the INSERT alone, and `SELECT answer FROM outbox_answer` behind it in the same transaction. Jobs are read with a SELECT
-- from `outbox_job`. The README of this crate shows requests and answers. A refusal (RAISE) undoes its statement alone and
-- leaves the transaction usable.
--
-- The views of requests have no rows: their triggers do what `enqueue`, `cancel` and `update` of the backend do. A trigger has
-- no variables, so what one step has found is inserted as a row into the view of the next, and is there the columns of NEW.
-- The jobs of a request are taken one after the other: each sees what those before it did.
--
-- It needs SQLite 3.41 for `unhex`, and from 3.38 on a program that defines `unhex` itself.
--
-- This file is no migration. Each run of a migration drops all these views first, and with them their triggers, and makes them
-- again last, in the same transaction, so they always fit the schema and check no version of it. A change of them needs a
-- migration with the next number, if only an empty one: by that number an older program knows that it must not replace them. A
-- view that goes is listed in `FORMER_VIEWS` in `src/migrate.rs`.

CREATE VIEW outbox_answer (answer) AS
SELECT coalesce(
    (SELECT answer FROM outbox_answers WHERE place = -1),
    (SELECT answer FROM outbox_answers WHERE place = 0) || coalesce(
        (SELECT group_concat(answer, ',') FROM (SELECT answer FROM outbox_answers WHERE place > 0 ORDER BY place)),
        ''
    ) || ']}'
);

-- One instant for the whole of a statement. 2440587.5 is the Julian day of 1970-01-01.
CREATE VIEW outbox_clock (now_ms) AS
SELECT CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER);

-- The protocols that are accepted, and the answer to a request of another one.
CREATE VIEW outbox_protocols (oldest, newest, mismatch) AS
SELECT
    oldest, newest,
    json_object('error', json_object('why', 'protocol', 'oldest', oldest, 'newest', newest))
FROM (
    SELECT
        (SELECT value FROM meta WHERE name = 'outbox_oldest') AS oldest,
        (SELECT value FROM meta WHERE name = 'outbox_newest') AS newest
);

-- What requests have in common: the answers of the one before go, and one of a protocol that is not accepted is answered with
-- those that are. A NUL is refused, since SQLite ends a JSON string there without a word.
CREATE VIEW outbox_opened (request, list, head) AS SELECT NULL, NULL, NULL WHERE FALSE;
CREATE TRIGGER outbox_opened_check INSTEAD OF INSERT ON outbox_opened
BEGIN
    DELETE FROM outbox_answers;
    SELECT CASE
        WHEN json_valid(NEW.request) IS NOT TRUE
            THEN raise(ABORT, 'outbox: the request is not JSON')
        WHEN typeof(json_extract(NEW.request, '$.protocol')) <> 'integer'
            THEN raise(ABORT, 'outbox: the request has no "protocol", the number of its form')
        WHEN instr(NEW.request, '\u0000') > 0 AND instr(replace(NEW.request, '\\', ''), '\u0000') > 0
            THEN raise(ABORT, 'outbox: the request holds the character NUL')
    END;
    INSERT INTO outbox_pairs (json) VALUES (NEW.request);
    INSERT INTO outbox_answers (place, answer)
    SELECT iif(is_accepted, 0, -1), iif(is_accepted, NEW.head, mismatch)
    FROM (
        SELECT json_extract(NEW.request, '$.protocol') BETWEEN oldest AND newest AS is_accepted, mismatch
        FROM outbox_protocols
    );
    SELECT raise(ABORT, 'outbox: the request has no array "jobs", or "ids"')
    WHERE json_type(NEW.request, NEW.list) IS NOT 'array' AND EXISTS (SELECT 1 FROM outbox_answers WHERE place = 0);
END;

-- Refuses halves of surrogate pairs, of which SQLite makes bytes that are no text: ED with A0 to BF behind it.
CREATE VIEW outbox_halves (half) AS
SELECT unhex('ED' || value) FROM json_each('["A0","A1","A2","A3","A4","A5","A6","A7","A8","A9","AA","AB","AC","AD","AE","AF",
    "B0","B1","B2","B3","B4","B5","B6","B7","B8","B9","BA","BB","BC","BD","BE","BF"]');
CREATE VIEW outbox_pairs (json) AS SELECT NULL WHERE FALSE;
CREATE TRIGGER outbox_pairs_check INSTEAD OF INSERT ON outbox_pairs
WHEN instr(replace(NEW.json, '\\', '__'), '\ud') > 0 OR instr(replace(NEW.json, '\\', '__'), '\uD') > 0
BEGIN
    SELECT raise(ABORT, 'outbox: a text holds half of a surrogate pair')
    FROM json_tree(NEW.json) AS node, outbox_halves
    WHERE instr(CAST(node.atom AS BLOB), half) > 0 OR instr(CAST(node.key AS BLOB), half) > 0;
END;

-- Refuses args that another store or reader would change, as the core does.
CREATE VIEW outbox_args (args) AS SELECT NULL WHERE FALSE;
CREATE TRIGGER outbox_args_check INSTEAD OF INSERT ON outbox_args
BEGIN
    SELECT CASE
        WHEN (typeof(NEW.args) = 'text' AND json_valid(NEW.args)) IS NOT TRUE
            THEN raise(ABORT, 'outbox: the "args" are no JSON in a string')
        WHEN length(CAST(NEW.args AS BLOB)) > 1048576
            THEN raise(ABORT, 'outbox: the "args" are more than 1048576 bytes')
        WHEN instr(NEW.args, '\u0000') > 0 AND instr(replace(NEW.args, '\\', ''), '\u0000') > 0
            THEN raise(ABORT, 'outbox: the "args" hold the character NUL')
    END;
    INSERT INTO outbox_pairs (json) VALUES (NEW.args);
    INSERT INTO outbox_json (json) VALUES (NEW.args);
END;

-- A JSON text that may have too many levels or too large a number: a level is a `[` or a `.` in the way to what is in it, and a
-- name may have some, too. Only such a text is looked at more closely, which takes 0.4 µs a byte. The quotes that begin and end
-- its strings are made to be those of a list, of which every other member is what stands outside of strings: the shape.
CREATE VIEW outbox_json (json) AS SELECT NULL WHERE FALSE;
CREATE TRIGGER outbox_json_check INSTEAD OF INSERT ON outbox_json
WHEN length(NEW.json) - length(replace(replace(NEW.json, '[', ''), '{', '')) > 30
        AND EXISTS (
            SELECT 1 FROM json_tree(NEW.json)
            WHERE type IN ('object', 'array') AND length(fullkey) > 60
                AND length(fullkey) - length(replace(replace(fullkey, '[', ''), '.', '')) >= 30
        )
    OR NEW.json GLOB '*[0-9][eE][0-9][0-9][0-9]*' OR NEW.json GLOB '*[0-9][eE]+[0-9][0-9][0-9]*'
    OR NEW.json GLOB
        '*[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]*'
BEGIN
    INSERT INTO outbox_shape (shape)
    SELECT group_concat(value, ' ') FROM json_each('["' || replace(
        replace(replace(replace(replace(replace(NEW.json, '\\', '__'), '\"', '__'), char(9), ' '), char(10), ' '), char(13), ' '),
        '"', '","'
    ) || '"]')
    WHERE key % 2 = 0;
END;
-- Each bracket and each number of the shape is made a member of a list by itself.
CREATE VIEW outbox_shape (shape) AS SELECT NULL WHERE FALSE;
CREATE TRIGGER outbox_shape_split INSTEAD OF INSERT ON outbox_shape
BEGIN
    INSERT INTO outbox_parts (parts)
    SELECT '["' || replace(replace(replace(replace(replace(
        replace(replace(NEW.shape, ',', ' '), ':', ' '),
        '[', ' [ '), '{', ' [ '), ']', ' ] '), '}', ' ] '), ' ', '","') || '"]';
END;
CREATE VIEW outbox_parts (parts) AS SELECT NULL WHERE FALSE;
CREATE TRIGGER outbox_parts_check INSTEAD OF INSERT ON outbox_parts
BEGIN
    SELECT raise(ABORT, 'outbox: "args", or "metadata", are nested deeper than 30 levels')
    FROM (
        SELECT sum(CASE value WHEN '[' THEN 1 WHEN ']' THEN -1 END) OVER (ORDER BY key) AS level
        FROM json_each(NEW.parts) WHERE value IN ('[', ']')
    )
    WHERE level > 30;
    SELECT raise(ABORT, 'outbox: "args", or "metadata", have a number that does not fit 64 bits: pass it as text')
    FROM json_each(NEW.parts)
    WHERE value GLOB '[-0-9]*' AND CASE
        WHEN value GLOB '*[.eE]*' THEN abs(CAST(value AS REAL)) > 1.7976931348623157e308
        ELSE length(value) > 20
            OR length(value) = 20 AND value > iif(value GLOB '-*', '-9223372036854775808', '18446744073709551615')
    END;
END;

-- Stores jobs: each is a row of `outbox_new`, and then of `outbox_found`.
CREATE VIEW outbox_enqueue (request) AS SELECT NULL WHERE FALSE;
CREATE TRIGGER outbox_enqueue_jobs INSTEAD OF INSERT ON outbox_enqueue
BEGIN
    INSERT INTO outbox_opened (request, list, head)
    SELECT NEW.request, '$.jobs', '{"now_ms":' || now_ms || ',"answers":[' FROM outbox_clock;
    INSERT INTO outbox_new (job, id, kind, queue, priority, max_attempts, args, options, delay_ms, at_ms, suspended, now_ms)
    SELECT
        job, iif(
            json_extract(job, '$.id') GLOB '????????-????-????-????-????????????',
            unhex(replace(json_extract(job, '$.id'), '-', '')), NULL
        ),
        json_extract(job, '$.kind'), json_extract(job, '$.queue'), json_extract(job, '$.priority'),
        json_extract(job, '$.max_attempts'), json_extract(job, '$.args'), json_extract(job, '$.options'),
        json_extract(job, '$.delay_ms'), json_extract(job, '$.at_ms'), json_extract(job, '$.suspended'), now_ms
    -- A text that is no job is no JSON here.
    FROM (SELECT iif(type = 'object', value, '{}') AS job FROM json_each(NEW.request, '$.jobs')), outbox_clock
    WHERE EXISTS (SELECT 1 FROM outbox_answers WHERE place = 0);
END;

-- One new job. 253402207200000 is the last instant there is (`Timestamp::MAX`).
CREATE VIEW outbox_new (
    job, id, kind, queue, priority, max_attempts, args, options, delay_ms, at_ms, suspended, now_ms
) AS SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE FALSE;
CREATE TRIGGER outbox_new_job INSTEAD OF INSERT ON outbox_new
BEGIN
    SELECT CASE
        WHEN (typeof(NEW.id) = 'blob' AND length(NEW.id) = 16) IS NOT TRUE
            THEN raise(ABORT, 'outbox: the "id" of a job is no UUID')
        WHEN (typeof(NEW.kind) = 'text' AND length(NEW.kind) BETWEEN 1 AND 64
            AND NEW.kind NOT GLOB '*[^A-Za-z0-9._:/-]*') IS NOT TRUE
            THEN raise(ABORT, 'outbox: the "kind" of a job is no name: 1 to 64 of A-Z a-z 0-9 . _ : / -')
        WHEN (typeof(NEW.queue) = 'text' AND length(NEW.queue) BETWEEN 1 AND 64
            AND NEW.queue NOT GLOB '*[^A-Za-z0-9._:/-]*') IS NOT TRUE
            THEN raise(ABORT, 'outbox: the "queue" of a job is no name: 1 to 64 of A-Z a-z 0-9 . _ : / -')
        WHEN (typeof(NEW.priority) = 'integer' AND NEW.priority BETWEEN -10 AND 10) IS NOT TRUE
            THEN raise(ABORT, 'outbox: the "priority" of a job is no integer from -10 (first) to 10 (last)')
        WHEN (typeof(NEW.max_attempts) = 'integer' AND NEW.max_attempts BETWEEN 1 AND 65535) IS NOT TRUE
            THEN raise(ABORT, 'outbox: the "max_attempts" of a job is no integer from 1 to 65535')
        WHEN (NEW.delay_ms IS NOT NULL) + (NEW.at_ms IS NOT NULL) + (NEW.suspended IS NOT NULL) > 1
            THEN raise(ABORT, 'outbox: a job has more than one of "delay_ms", "at_ms" and "suspended"')
        WHEN (typeof(coalesce(NEW.delay_ms, 0)) IN ('integer', 'real') AND coalesce(NEW.delay_ms, 0) >= 0) IS NOT TRUE
            OR length(NEW.job -> '$.delay_ms') > 20 OR length(NEW.job -> '$.delay_ms') = 20
            AND (NEW.job -> '$.delay_ms') > '18446744073709551615'
            THEN raise(ABORT, 'outbox: the "delay_ms" of a job is no number from 0 on')
        WHEN (typeof(coalesce(NEW.at_ms, 0)) = 'integer' AND coalesce(NEW.at_ms, 0) >= 0) IS NOT TRUE
            THEN raise(ABORT, 'outbox: the "at_ms" of a job is no integer from 0 on')
        WHEN coalesce(NEW.suspended, TRUE) IS NOT 1
            THEN raise(ABORT, 'outbox: the "suspended" of a job is not true')
        -- To `json_extract`, true is 1 and null is nothing.
        WHEN EXISTS (
                SELECT 1 FROM json_each(NEW.job) WHERE CASE
                    WHEN key IN ('id', 'kind', 'queue', 'args', 'key') THEN type <> 'text'
                    WHEN key IN ('priority', 'max_attempts', 'delay_ms', 'at_ms') THEN type <> 'integer'
                    WHEN key = 'suspended' THEN type <> 'true'
                    WHEN key = 'options' THEN type <> 'object'
                    ELSE TRUE
                END
            )
            THEN raise(ABORT, 'outbox: a member of a job is not known, or not of its type')
        WHEN (SELECT count(*) > count(DISTINCT key) FROM json_each(NEW.job))
            THEN raise(ABORT, 'outbox: a job names a member twice')
        WHEN json_type(NEW.job, '$.key') IS NOT NULL AND (lower(json_extract(NEW.job, '$.key'))
                = nullif(lower(hex(json_extract(NEW.options, '$.unique_key'))), '')) IS NOT TRUE
            THEN raise(ABORT, 'outbox: the "key" of a job is not the hexadecimal form of its "unique_key"')
    END;
    INSERT INTO outbox_args (args) VALUES (NEW.args);
    INSERT INTO outbox_options (options) SELECT NEW.options WHERE NEW.options IS NOT NULL;
    INSERT INTO queues (name) SELECT NEW.queue WHERE NOT EXISTS (SELECT 1 FROM queues WHERE name = NEW.queue);
    INSERT INTO outbox_found (
        same_id, holder, seq, id, kind, queue, priority, max_attempts, args, options, unique_key, state, due, now_ms
    )
    SELECT
        EXISTS (SELECT 1 FROM jobs WHERE id = NEW.id),
        (
            SELECT jobs.id FROM uniques JOIN jobs ON jobs.seq = uniques.seq
            WHERE uniques.queue = queues.queue AND uniques.key = json_extract(NEW.options, '$.unique_key')
        ),
        (SELECT value FROM meta WHERE name = 'next_seq'),
        NEW.id, NEW.kind, queues.queue, NEW.priority, NEW.max_attempts, NEW.args, NEW.options,
        json_extract(NEW.options, '$.unique_key'),
        CASE WHEN NEW.suspended THEN 0 WHEN due > NEW.now_ms THEN 1 ELSE 2 END, due, NEW.now_ms
    FROM queues, (
        SELECT max(0, min(253402207200000, coalesce(
            NEW.at_ms, NEW.now_ms + CAST(min(NEW.delay_ms, 253402207200000) AS INTEGER), NEW.now_ms
        ))) AS due
    )
    WHERE queues.name = NEW.queue;
END;

-- Refuses options that could not be read again: the others are read leniently.
CREATE VIEW outbox_options (options) AS SELECT NULL WHERE FALSE;
CREATE TRIGGER outbox_options_check INSTEAD OF INSERT ON outbox_options
BEGIN
    SELECT CASE
        WHEN json_type(NEW.options) <> 'object'
            THEN raise(ABORT, 'outbox: the "options" of a job are no object')
        WHEN (SELECT count(*) > count(DISTINCT key) FROM json_each(NEW.options))
            THEN raise(ABORT, 'outbox: the "options" of a job name one twice')
        WHEN json_type(NEW.options, '$.unique_key') <> 'text'
            OR length(CAST(json_extract(NEW.options, '$.unique_key') AS BLOB)) NOT BETWEEN 1 AND 255
            THEN raise(ABORT, 'outbox: the "unique_key" of a job is no text of 1 to 255 bytes')
        WHEN json_type(NEW.options, '$.timeout_ms') <> 'integer' OR json_extract(NEW.options, '$.timeout_ms') < 1
            OR length(NEW.options -> '$.timeout_ms') > 20 OR length(NEW.options -> '$.timeout_ms') = 20
            AND (NEW.options -> '$.timeout_ms') > '18446744073709551615'
            THEN raise(ABORT, 'outbox: the "timeout_ms" of a job is no integer from 1 on')
        WHEN json_type(NEW.options, '$.retry') IS NOT NULL AND (
                json_extract(NEW.options, '$.retry.jitter') IN ('none', 'full')
                OR json_type(NEW.options, '$.retry.jitter.percent') = 'integer'
                AND json_extract(NEW.options, '$.retry.jitter.percent') BETWEEN 0 AND 255
            ) IS NOT TRUE
            THEN raise(ABORT, 'outbox: the "jitter" of a "retry" is none of "none", "full" and {"percent":n}')
        WHEN json_type(NEW.options, '$.retry') IS NOT NULL AND CASE (
                SELECT group_concat(key) FROM json_each(NEW.options, '$.retry.backoff')
            )
                WHEN 'exponential'
                    THEN json_type(NEW.options, '$.retry.backoff.exponential.factor') IN ('integer', 'real')
                        AND abs(json_extract(NEW.options, '$.retry.backoff.exponential.factor') + 0.0)
                            <= 1.7976931348623157e308
                WHEN 'linear' THEN TRUE
                WHEN 'fixed' THEN TRUE
                WHEN 'table' THEN json_type(NEW.options, '$.retry.backoff.table') = 'array'
                    AND json_array_length(NEW.options, '$.retry.backoff.table') <= 1000
            END IS NOT TRUE
            THEN raise(ABORT, 'outbox: the "backoff" of a "retry" is none of those there are')
        WHEN EXISTS (
                SELECT 1 FROM (
                    SELECT column1 AS path FROM (
                        VALUES ('$.retention.completed'), ('$.retention.cancelled'), ('$.retention.discarded')
                    )
                    WHERE json_type(NEW.options, '$.retention') IS NOT NULL
                    UNION ALL
                    SELECT column2 FROM (
                        VALUES
                            ('exponential', '$.retry.backoff.exponential.base'),
                            ('exponential', '$.retry.backoff.exponential.cap'),
                            ('linear', '$.retry.backoff.linear.step'),
                            ('linear', '$.retry.backoff.linear.cap'),
                            ('fixed', '$.retry.backoff.fixed')
                    )
                    WHERE json_type(NEW.options, '$.retry.backoff.' || column1) IS NOT NULL
                    UNION ALL
                    SELECT '$.retry.backoff.table[' || key || ']' FROM json_each(NEW.options, '$.retry.backoff.table')
                )
                WHERE (json_type(NEW.options, path || '.secs') = 'integer'
                    AND (NEW.options -> (path || '.secs')) NOT GLOB '-*'
                    AND (length(NEW.options -> (path || '.secs')) < 20
                        OR length(NEW.options -> (path || '.secs')) = 20
                        AND (NEW.options -> (path || '.secs')) <= '18446744073709551615')
                    AND json_type(NEW.options, path || '.nanos') = 'integer'
                    AND json_extract(NEW.options, path || '.nanos') BETWEEN 0 AND 999999999) IS NOT TRUE
            )
            THEN raise(ABORT, 'outbox: a duration in "retry", or "retention", is no {"secs":n,"nanos":n}')
        WHEN EXISTS (
                SELECT 1 FROM json_tree(NEW.options, '$.retry') GROUP BY parent, key HAVING count(*) > 1
                UNION ALL
                SELECT 1 FROM json_tree(NEW.options, '$.retention') GROUP BY parent, key HAVING count(*) > 1
            )
            THEN raise(ABORT, 'outbox: a "retry", or "retention", names a member twice')
        WHEN json_type(NEW.options, '$.tags') <> 'array' OR json_array_length(NEW.options, '$.tags') > 32
            OR EXISTS (
                SELECT 1 FROM json_each(NEW.options, '$.tags')
                WHERE (type = 'text' AND length(value) BETWEEN 1 AND 64
                    AND value NOT GLOB '*[^A-Za-z0-9._:/-]*') IS NOT TRUE
            )
            THEN raise(ABORT, 'outbox: the "tags" of a job are no array of at most 32 names')
        WHEN json_type(NEW.options, '$.metadata') <> 'object'
            OR length(CAST(json_extract(NEW.options, '$.metadata') AS BLOB)) > 65536
            THEN raise(ABORT, 'outbox: the "metadata" of a job are no object of at most 65536 bytes')
    END;
    INSERT INTO outbox_json (json)
    SELECT json_extract(NEW.options, '$.metadata') WHERE json_type(NEW.options, '$.metadata') = 'object';
END;

-- One new job, and what is there in its place: a job with its id (`same_id`), a job that holds its unique key (`holder`).
CREATE VIEW outbox_found (
    same_id, holder, seq, id, kind, queue, priority, max_attempts, args, options, unique_key, state, due, now_ms
) AS SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE FALSE;
CREATE TRIGGER outbox_found_existing INSTEAD OF INSERT ON outbox_found
WHEN NEW.same_id OR NEW.holder IS NOT NULL
BEGIN
    INSERT INTO outbox_answers (answer)
    SELECT json_object('existing', uuid, 'by', iif(NEW.same_id, 'id', 'unique_key'))
    FROM outbox_located WHERE id = iif(NEW.same_id, NEW.id, NEW.holder);
END;
CREATE TRIGGER outbox_found_none INSTEAD OF INSERT ON outbox_found
WHEN NOT NEW.same_id AND NEW.holder IS NULL
BEGIN
    -- 2^41 - 1: the run follows in the 22 lowest bits of the key of `runs`.
    SELECT raise(ABORT, 'outbox: the file has given each of its 2^41 numbers to a job') WHERE NEW.seq > 2199023255551;
    UPDATE meta SET value = NEW.seq + 1 WHERE name = 'next_seq';
    INSERT INTO jobs (seq, id, kind, queue, priority, run_at, created_at, max_attempts, args)
    SELECT
        NEW.seq, NEW.id, NEW.kind, NEW.queue, NEW.priority, NEW.due, NEW.now_ms, NEW.max_attempts,
        CAST(NEW.args AS BLOB)
    WHERE NEW.options IS NULL;
    INSERT INTO jobs (
        seq, id, kind, queue, priority, run_at, created_at, max_attempts, args,
        has_options, unique_key, timeout_ms, retry, retention, tags, metadata
    )
    SELECT
        NEW.seq, NEW.id, NEW.kind, NEW.queue, NEW.priority, NEW.due, NEW.now_ms, NEW.max_attempts,
        CAST(NEW.args AS BLOB),
        coalesce(unique_key, timeout_ms, retry, retention, tags, metadata) IS NOT NULL,
        unique_key, timeout_ms, retry, retention, tags, metadata
    FROM (
        SELECT
            NEW.unique_key AS unique_key,
            CAST(min(json_extract(NEW.options, '$.timeout_ms'), 9223372036854775807) AS INTEGER) AS timeout_ms,
            json_extract(NEW.options, '$.retry') AS retry,
            json_extract(NEW.options, '$.retention') AS retention,
            nullif(json_extract(NEW.options, '$.tags'), '[]') AS tags,
            nullif(json_extract(NEW.options, '$.metadata'), '{}') AS metadata
    )
    WHERE NEW.options IS NOT NULL;
    INSERT INTO uniques (queue, key, seq) SELECT NEW.queue, NEW.unique_key, NEW.seq WHERE NEW.unique_key IS NOT NULL;
    INSERT INTO outbox_place (queue, priority, run_at, seq, state, run, attempt, crashes)
    VALUES (NEW.queue, NEW.priority, NEW.due, NEW.seq, NEW.state, 0, 0, 0);
    INSERT INTO outbox_answers (answer) VALUES ('{"created":true}');
END;

-- The one way into a place: a job that is nowhere goes into that of `state`, which is neither running nor an end.
CREATE VIEW outbox_place (queue, priority, run_at, seq, state, run, attempt, crashes, reason) AS
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE FALSE;
CREATE TRIGGER outbox_place_job INSTEAD OF INSERT ON outbox_place
BEGIN
    INSERT INTO ready (queue, priority, run_at, seq, run, attempt, crashes, reason)
    SELECT NEW.queue, NEW.priority, NEW.run_at, NEW.seq, NEW.run, NEW.attempt, NEW.crashes, NEW.reason
    WHERE NEW.state = 2;
    INSERT INTO waiting (seq, state, run_at, run, attempt, crashes, reason)
    SELECT NEW.seq, NEW.state, NEW.run_at, NEW.run, NEW.attempt, NEW.crashes, NEW.reason
    WHERE NEW.state <> 2;
    INSERT INTO counts (queue, state, amount) VALUES (NEW.queue, NEW.state, 1)
    ON CONFLICT (queue, state) DO UPDATE SET amount = amount + 1;
END;

-- The one way out of a place that is neither running nor an end.
CREATE VIEW outbox_take_out (queue, priority, run_at, seq, state) AS SELECT NULL, NULL, NULL, NULL, NULL WHERE FALSE;
CREATE TRIGGER outbox_take_out_job INSTEAD OF INSERT ON outbox_take_out
BEGIN
    DELETE FROM ready
    WHERE queue = NEW.queue AND priority = NEW.priority AND run_at = NEW.run_at AND seq = NEW.seq AND NEW.state = 2;
    DELETE FROM waiting WHERE seq = NEW.seq AND NEW.state <> 2;
    INSERT INTO counts (queue, state, amount) VALUES (NEW.queue, NEW.state, -1)
    ON CONFLICT (queue, state) DO UPDATE SET amount = amount - 1;
END;

-- Jobs with their state, as `sql/job.sql` tells it.
CREATE VIEW outbox_located (
    seq, id, uuid, queue, priority, run_at, unique_key, retention,
    state, run, attempt, crashes, reason, finished_at, needle, is_parked
) AS
SELECT
    jobs.seq, jobs.id,
    lower(
        substr(hex(jobs.id), 1, 8) || '-' || substr(hex(jobs.id), 9, 4) || '-' || substr(hex(jobs.id), 13, 4) || '-'
        || substr(hex(jobs.id), 17, 4) || '-' || substr(hex(jobs.id), 21)
    ),
    jobs.queue, jobs.priority, jobs.run_at, jobs.unique_key, jobs.retention,
    CASE
        WHEN ready.seq IS NOT NULL THEN 2
        WHEN waiting.seq IS NOT NULL THEN waiting.state
        WHEN ended.seq IS NOT NULL THEN ended.state
        WHEN latest.state = 5 AND latest.run_key & 4194303 > jobs.retried_run THEN 5
        ELSE 3
    END,
    coalesce(ready.run, waiting.run, ended.run, latest.run_key & 4194303, 0),
    coalesce(ready.attempt, waiting.attempt, ended.attempt, latest.attempt, 0),
    coalesce(ready.crashes, waiting.crashes, ended.crashes, 0),
    iif(ready.seq IS NOT NULL, ready.reason, waiting.reason),
    coalesce(ended.finished_at, latest.finished_at),
    -- The seq, little-endian: how the job's member of a claim begins.
    unhex(printf(
        '%02x%02x%02x%02x%02x%02x%02x%02x', jobs.seq & 255, jobs.seq >> 8 & 255, jobs.seq >> 16 & 255,
        jobs.seq >> 24 & 255, jobs.seq >> 32 & 255, jobs.seq >> 40 & 255, jobs.seq >> 48 & 255, jobs.seq >> 56 & 255
    )),
    waiting.kind IS NOT NULL
FROM jobs
    LEFT JOIN ready ON ready.queue = jobs.queue AND ready.priority = jobs.priority
        AND ready.run_at = jobs.run_at AND ready.seq = jobs.seq
    LEFT JOIN waiting ON waiting.seq = jobs.seq
    LEFT JOIN ended ON ended.seq = jobs.seq
    LEFT JOIN runs AS latest ON latest.run_key = (
        SELECT max(run_key) FROM runs WHERE run_key BETWEEN jobs.seq << 22 AND (jobs.seq << 22) + 4194303
    );

-- The members of all claims; `run` and `attempt` are little-endian there. A look for one job asks for `members` that hold its
-- bytes anywhere, too: so other claims are passed over at the speed of a search through memory. The array of zeros only
-- makes a row a member.
CREATE VIEW outbox_leased (members, member, run, attempt, worker) AS
SELECT
    members, member,
    (instr(digits, substr(tally, 1, 1)) - 1) * 16 + instr(digits, substr(tally, 2, 1)) - 1
        + ((instr(digits, substr(tally, 3, 1)) - 1) * 16 + instr(digits, substr(tally, 4, 1)) - 1) * 256
        + ((instr(digits, substr(tally, 5, 1)) - 1) * 16 + instr(digits, substr(tally, 6, 1)) - 1) * 65536
        + ((instr(digits, substr(tally, 7, 1)) - 1) * 16 + instr(digits, substr(tally, 8, 1)) - 1) * 16777216,
    (instr(digits, substr(tally, 9, 1)) - 1) * 16 + instr(digits, substr(tally, 10, 1)) - 1
        + ((instr(digits, substr(tally, 11, 1)) - 1) * 16 + instr(digits, substr(tally, 12, 1)) - 1) * 256,
    worker
FROM (
    SELECT
        claims.members, claims.worker, substr(claims.members, 16 * place.key + 1, 8) AS member,
        hex(substr(claims.members, 16 * place.key + 9, 6)) AS tally, '0123456789ABCDEF' AS digits
    FROM claims
        JOIN json_each('[0' || replace(hex(zeroblob(length(claims.members) / 16 - 1)), '00', ',0') || ']') AS place
);

-- Stores requests: each is a row of `outbox_requested`, and then of the table `requests`.
CREATE VIEW outbox_request (request) AS SELECT NULL WHERE FALSE;
CREATE TRIGGER outbox_request_jobs INSTEAD OF INSERT ON outbox_request
BEGIN
    INSERT INTO outbox_opened (request, list, head) VALUES (NEW.request, '$.ids', '{"requests":[');
    SELECT CASE
        WHEN (json_extract(NEW.request, '$.verb') IN ('cancel', 'update', 'delete')) IS NOT TRUE
            THEN raise(ABORT, 'outbox: the "verb" of the request is none of cancel, update and delete')
        WHEN coalesce(json_type(NEW.request, '$.patch'), 'none')
                <> iif(json_extract(NEW.request, '$.verb') = 'update', 'object', 'none')
            THEN raise(ABORT, 'outbox: an update has an object "patch", and no other verb has one')
        WHEN coalesce(json_type(NEW.request, '$.actor'), 'null') NOT IN ('text', 'null')
            THEN raise(ABORT, 'outbox: the "actor" is no text')
    END
    FROM outbox_answers WHERE place = 0;
    INSERT INTO outbox_requested (id, verb, patch, actor)
    SELECT
        iif(value GLOB '????????-????-????-????-????????????', unhex(replace(value, '-', '')), NULL),
        json_extract(NEW.request, '$.verb'), json_extract(NEW.request, '$.patch'), json_extract(NEW.request, '$.actor')
    FROM json_each(NEW.request, '$.ids') WHERE EXISTS (SELECT 1 FROM outbox_answers WHERE place = 0);
END;
CREATE VIEW outbox_requested (id, verb, patch, actor) AS SELECT NULL, NULL, NULL, NULL WHERE FALSE;
CREATE TRIGGER outbox_requested_job INSTEAD OF INSERT ON outbox_requested
BEGIN
    SELECT raise(ABORT, 'outbox: one of the "ids" is no UUID')
    WHERE (typeof(NEW.id) = 'blob' AND length(NEW.id) = 16) IS NOT TRUE;
    INSERT INTO requests (id, verb, patch, actor) VALUES (NEW.id, NEW.verb, NEW.patch, NEW.actor);
    INSERT INTO outbox_answers (answer) VALUES (last_insert_rowid());
END;

-- Cancels jobs: each is a row of `outbox_named`, and then of `outbox_act`.
CREATE VIEW outbox_cancel (request) AS SELECT NULL WHERE FALSE;
CREATE TRIGGER outbox_cancel_jobs INSTEAD OF INSERT ON outbox_cancel
BEGIN
    INSERT INTO outbox_opened (request, list, head) VALUES (NEW.request, '$.ids', '{"verdicts":[');
    INSERT INTO outbox_named (verb, id, actor, now_ms)
    SELECT 'cancel', iif(value GLOB '????????-????-????-????-????????????', unhex(replace(value, '-', '')), NULL),
         json_extract(NEW.request, '$.actor'), now_ms
    FROM json_each(NEW.request, '$.ids'), outbox_clock
    WHERE EXISTS (SELECT 1 FROM outbox_answers WHERE place = 0);
END;

-- Changes jobs that do not run.
CREATE VIEW outbox_update (request) AS SELECT NULL WHERE FALSE;
CREATE TRIGGER outbox_update_jobs INSTEAD OF INSERT ON outbox_update
BEGIN
    INSERT INTO outbox_opened (request, list, head) VALUES (NEW.request, '$.ids', '{"verdicts":[');
    INSERT INTO outbox_patch (type, patch, priority, max_attempts, args, delay_ms, at_ms, now)
    SELECT
        json_type(NEW.request, '$.patch'), json_extract(NEW.request, '$.patch'),
        json_extract(NEW.request, '$.patch.priority'), json_extract(NEW.request, '$.patch.max_attempts'),
        json_extract(NEW.request, '$.patch.args'), json_extract(NEW.request, '$.patch.delay_ms'),
        json_extract(NEW.request, '$.patch.at_ms'), json_extract(NEW.request, '$.patch.now')
    WHERE EXISTS (SELECT 1 FROM outbox_answers WHERE place = 0);
    INSERT INTO outbox_named (verb, id, actor, now_ms, priority, max_attempts, args, due)
    SELECT
        'update', iif(value GLOB '????????-????-????-????-????????????', unhex(replace(value, '-', '')), NULL),
         json_extract(NEW.request, '$.actor'), now_ms,
        json_extract(NEW.request, '$.patch.priority'), json_extract(NEW.request, '$.patch.max_attempts'),
        json_extract(NEW.request, '$.patch.args'),
        max(0, min(253402207200000, coalesce(
            json_extract(NEW.request, '$.patch.at_ms'),
            now_ms + CAST(min(json_extract(NEW.request, '$.patch.delay_ms'), 253402207200000) AS INTEGER),
            iif(json_extract(NEW.request, '$.patch.now'), now_ms, NULL)
        )))
    FROM json_each(NEW.request, '$.ids'), outbox_clock
    WHERE EXISTS (SELECT 1 FROM outbox_answers WHERE place = 0);
END;

-- Refuses a patch that a new job would be refused for.
CREATE VIEW outbox_patch (type, patch, priority, max_attempts, args, delay_ms, at_ms, now) AS
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE FALSE;
CREATE TRIGGER outbox_patch_check INSTEAD OF INSERT ON outbox_patch
BEGIN
    SELECT CASE
        WHEN NEW.type IS NOT 'object'
            THEN raise(ABORT, 'outbox: the request has no object "patch"')
        WHEN (typeof(coalesce(NEW.priority, 0)) = 'integer' AND coalesce(NEW.priority, 0) BETWEEN -10 AND 10) IS NOT TRUE
            THEN raise(ABORT, 'outbox: the "priority" of the patch is no integer from -10 (first) to 10 (last)')
        WHEN (typeof(coalesce(NEW.max_attempts, 1)) = 'integer'
            AND coalesce(NEW.max_attempts, 1) BETWEEN 1 AND 65535) IS NOT TRUE
            THEN raise(ABORT, 'outbox: the "max_attempts" of the patch is no integer from 1 to 65535')
        WHEN (NEW.delay_ms IS NOT NULL) + (NEW.at_ms IS NOT NULL) + (NEW.now IS NOT NULL) > 1
            THEN raise(ABORT, 'outbox: the patch has more than one of "delay_ms", "at_ms" and "now"')
        WHEN (typeof(coalesce(NEW.delay_ms, 0)) IN ('integer', 'real') AND coalesce(NEW.delay_ms, 0) >= 0) IS NOT TRUE
            OR length(NEW.patch -> '$.delay_ms') > 20 OR length(NEW.patch -> '$.delay_ms') = 20
            AND (NEW.patch -> '$.delay_ms') > '18446744073709551615'
            THEN raise(ABORT, 'outbox: the "delay_ms" of the patch is no number from 0 on')
        WHEN (typeof(coalesce(NEW.at_ms, 0)) = 'integer' AND coalesce(NEW.at_ms, 0) >= 0) IS NOT TRUE
            THEN raise(ABORT, 'outbox: the "at_ms" of the patch is no integer from 0 on')
        WHEN coalesce(NEW.now, TRUE) IS NOT 1
            THEN raise(ABORT, 'outbox: the "now" of the patch is not true')
        WHEN EXISTS (
                SELECT 1 FROM json_each(NEW.patch) WHERE CASE
                    WHEN key = 'args' THEN type <> 'text'
                    WHEN key IN ('priority', 'max_attempts', 'delay_ms', 'at_ms') THEN type <> 'integer'
                    WHEN key = 'now' THEN type <> 'true'
                    ELSE TRUE
                END
            )
            THEN raise(ABORT, 'outbox: a member of the patch is not known, or not of its type')
        WHEN (SELECT count(*) > count(DISTINCT key) FROM json_each(NEW.patch))
            THEN raise(ABORT, 'outbox: the patch names a member twice')
    END;
    INSERT INTO outbox_args (args) SELECT NEW.args WHERE NEW.args IS NOT NULL;
END;

-- A job that a verb names.
CREATE VIEW outbox_named (verb, id, actor, now_ms, priority, max_attempts, args, due) AS
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE FALSE;
CREATE TRIGGER outbox_named_job INSTEAD OF INSERT ON outbox_named
BEGIN
    SELECT CASE
        WHEN (typeof(NEW.id) = 'blob' AND length(NEW.id) = 16) IS NOT TRUE
            THEN raise(ABORT, 'outbox: one of the "ids" is no UUID')
        WHEN typeof(NEW.actor) NOT IN ('text', 'null')
            THEN raise(ABORT, 'outbox: the "actor" is no text')
    END;
    INSERT INTO outbox_answers (answer)
    SELECT '{"verdict":"not_found"}' WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE id = NEW.id);
    INSERT INTO outbox_act (
        verb, seq, queue, priority, run_at, unique_key, retention, state, run, attempt, crashes, reason, needle,
        is_parked, actor, now_ms, new_priority, new_max_attempts, new_args, due
    )
    SELECT
        NEW.verb, seq, queue, priority, run_at, unique_key, retention, state, run, attempt, crashes, reason, needle,
        is_parked, NEW.actor, NEW.now_ms, NEW.priority, NEW.max_attempts, NEW.args, NEW.due
    FROM outbox_located
    WHERE id = NEW.id;
END;

-- A job as it is, and what is to be done to it; `operate` of the core is the rule.
CREATE VIEW outbox_act (
    verb, seq, queue, priority, run_at, unique_key, retention, state, run, attempt, crashes, reason, needle,
    is_parked, actor, now_ms, new_priority, new_max_attempts, new_args, due
) AS SELECT
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL
WHERE FALSE;

CREATE TRIGGER outbox_act_nothing INSTEAD OF INSERT ON outbox_act
WHEN NEW.state IN (5, 6, 7) OR NEW.verb = 'update' AND NEW.state = 3
BEGIN
    INSERT INTO outbox_answers (answer)
    SELECT iif(
        NEW.verb = 'cancel', json_object('verdict', 'already_terminal'), json_object('verdict', 'refused', 'state', name)
    )
    FROM outbox_states WHERE state = NEW.state;
END;

CREATE TRIGGER outbox_act_request_cancel INSTEAD OF INSERT ON outbox_act
WHEN NEW.verb = 'cancel' AND NEW.state = 3
BEGIN
    -- An older claim may still list a run that has ended.
    INSERT INTO cancels (seq, run, worker)
    SELECT NEW.seq, run, worker FROM outbox_leased
    WHERE instr(members, NEW.needle) > 0 AND member = NEW.needle AND run > NEW.run
    ON CONFLICT DO NOTHING;
    INSERT INTO outbox_event (seq, at, what, actor) VALUES (NEW.seq, NEW.now_ms, NEW.verb, NEW.actor);
    INSERT INTO outbox_answers (answer) VALUES ('{"verdict":"requested"}');
END;

CREATE TRIGGER outbox_act_cancel INSTEAD OF INSERT ON outbox_act
WHEN NEW.verb = 'cancel' AND NEW.state IN (0, 1, 2, 4)
BEGIN
    INSERT INTO outbox_take_out (queue, priority, run_at, seq, state)
    VALUES (NEW.queue, NEW.priority, NEW.run_at, NEW.seq, NEW.state);
    DELETE FROM uniques WHERE queue = NEW.queue AND key = NEW.unique_key AND seq = NEW.seq;
    INSERT INTO outbox_cancelled (seq, queue, run, attempt, crashes, needle, now_ms, secs, nanos)
    SELECT
        NEW.seq, NEW.queue, NEW.run, NEW.attempt, NEW.crashes, NEW.needle, NEW.now_ms,
        coalesce(json_extract(NEW.retention, '$.cancelled.secs'), 604800),
        coalesce(json_extract(NEW.retention, '$.cancelled.nanos'), 0);
    INSERT INTO outbox_event (seq, at, what, actor) VALUES (NEW.seq, NEW.now_ms, NEW.verb, NEW.actor);
    INSERT INTO outbox_answers (answer) VALUES ('{"verdict":"done"}');
END;

-- A job that is nowhere and ends as cancelled, and how long it is kept. A retention of zero deletes it now; the claims of
-- its earlier runs are marked then, so that a late finish looks whether the job is there: all claims with its bytes, which
-- may be one too many and does no harm.
CREATE VIEW outbox_cancelled (seq, queue, run, attempt, crashes, needle, now_ms, secs, nanos) AS
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE FALSE;
CREATE TRIGGER outbox_cancelled_kept INSTEAD OF INSERT ON outbox_cancelled
WHEN NEW.secs > 0 OR NEW.nanos > 0
BEGIN
    INSERT INTO ended (seq, state, run, attempt, crashes, finished_at)
    VALUES (NEW.seq, 6, NEW.run, NEW.attempt, NEW.crashes, NEW.now_ms);
    INSERT INTO counts (queue, state, amount) VALUES (NEW.queue, 6, 1)
    ON CONFLICT (queue, state) DO UPDATE SET amount = amount + 1;
    INSERT INTO expiries (delete_at, seqs)
    VALUES (
        min(253402207200000, NEW.now_ms + min(NEW.secs, 253402207200) * 1000 + NEW.nanos / 1000000), NEW.needle
    );
END;
CREATE TRIGGER outbox_cancelled_erased INSTEAD OF INSERT ON outbox_cancelled
WHEN NEW.secs = 0 AND NEW.nanos = 0
BEGIN
    DELETE FROM jobs WHERE seq = NEW.seq;
    DELETE FROM records WHERE seq = NEW.seq;
    DELETE FROM logs WHERE seq = NEW.seq;
    DELETE FROM events WHERE seq = NEW.seq;
    DELETE FROM cancels WHERE seq = NEW.seq;
    DELETE FROM runs WHERE run_key BETWEEN NEW.seq << 22 AND (NEW.seq << 22) + 4194303;
    UPDATE claims SET pruned = 1 WHERE NEW.run > 0 AND pruned = 0 AND instr(members, NEW.needle) > 0;
END;

CREATE TRIGGER outbox_act_update INSTEAD OF INSERT ON outbox_act
WHEN NEW.verb = 'update' AND NEW.state IN (0, 1, 2, 4)
BEGIN
    INSERT INTO outbox_take_out (queue, priority, run_at, seq, state)
    VALUES (NEW.queue, NEW.priority, NEW.run_at, NEW.seq, NEW.state);
    UPDATE jobs SET
        priority = coalesce(NEW.new_priority, priority),
        max_attempts = coalesce(NEW.new_max_attempts, max_attempts),
        args = coalesce(CAST(NEW.new_args AS BLOB), args),
        run_at = iif(NEW.state = 0, run_at, coalesce(NEW.due, run_at))
    WHERE seq = NEW.seq;
    INSERT INTO outbox_place (queue, priority, run_at, seq, state, run, attempt, crashes, reason)
    SELECT
        queue, priority, run_at, seq,
        CASE
            WHEN NEW.due IS NULL AND NEW.is_parked THEN 2
            WHEN NEW.state = 0 OR NEW.due IS NULL THEN NEW.state
            WHEN NEW.due > NEW.now_ms THEN 1
            ELSE 2
        END,
        NEW.run, NEW.attempt, NEW.crashes, iif(NEW.is_parked, NULL, NEW.reason)
    FROM jobs WHERE seq = NEW.seq;
    INSERT INTO outbox_event (seq, at, what, actor) VALUES (NEW.seq, NEW.now_ms, NEW.verb, NEW.actor);
    INSERT INTO outbox_answers (answer) VALUES ('{"verdict":"done"}');
END;

-- An event of a job that is there; the newest 100 are kept.
CREATE VIEW outbox_event (seq, at, what, actor) AS SELECT NULL, NULL, NULL, NULL WHERE FALSE;
CREATE TRIGGER outbox_event_of_job INSTEAD OF INSERT ON outbox_event
WHEN EXISTS (SELECT 1 FROM jobs WHERE seq = NEW.seq)
BEGIN
    INSERT INTO events (seq, at, what, actor) VALUES (NEW.seq, NEW.at, NEW.what, NEW.actor);
    DELETE FROM events
    WHERE seq = NEW.seq
        AND event <= (SELECT event FROM events WHERE seq = NEW.seq ORDER BY event DESC LIMIT 1 OFFSET 100);
END;

CREATE VIEW outbox_states (state, name) AS
VALUES
    (0, 'suspended'), (1, 'scheduled'), (2, 'available'), (3, 'running'), (4, 'retryable'), (5, 'completed'),
    (6, 'cancelled'), (7, 'discarded');

-- Jobs by id, each as the JSON that the answer to `get` shows. Few of them are read, so the view is one to look up a job in,
-- not to walk through.
CREATE VIEW outbox_job (id, job) AS
SELECT
    located.id,
    json_object(
        'id', located.uuid, 'kind', jobs.kind, 'queue', queues.name,
        'state', (SELECT name FROM outbox_states AS states WHERE states.state = located.state),
        'priority', jobs.priority,
        'attempt', iif(located.state = 3, coalesce((
            SELECT attempt FROM outbox_leased AS leased
            WHERE instr(leased.members, located.needle) > 0 AND leased.member = located.needle
                AND leased.run > located.run
        ), located.attempt), located.attempt),
        'max_attempts', jobs.max_attempts, 'run_at_ms', jobs.run_at, 'created_at_ms', jobs.created_at,
        'finished_at_ms', iif(located.state IN (5, 6, 7), located.finished_at, NULL),
        'args', CAST(jobs.args AS TEXT),
        'options', iif(jobs.has_options, json('{' || substr(
            iif(jobs.unique_key IS NULL, '', ',"unique_key":' || json_quote(jobs.unique_key))
            || coalesce(',"timeout_ms":' || jobs.timeout_ms, '') || coalesce(',"retry":' || jobs.retry, '')
            || coalesce(',"retention":' || jobs.retention, '') || coalesce(',"tags":' || jobs.tags, '')
            || coalesce(',"metadata":' || jobs.metadata, ''),
            2
        ) || '}'), NULL)
    )
FROM outbox_located AS located
    JOIN jobs ON jobs.seq = located.seq
    JOIN queues ON queues.queue = jobs.queue;
