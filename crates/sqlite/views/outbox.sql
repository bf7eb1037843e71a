-- The outbox: jobs stored, read and named in requests inside a transaction of another program, over any
-- driver, each by one statement with one JSON text as its parameter:
--
--     INSERT INTO outbox_enqueue (request) VALUES (?1) RETURNING (SELECT answer FROM outbox_answer)
--     INSERT INTO outbox_request (request) VALUES (?1) RETURNING (SELECT answer FROM outbox_answer)
--
-- or the INSERT alone, and `SELECT answer FROM outbox_answer` behind it in the same transaction. Jobs are
-- read with a SELECT from `outbox_job`. The README of this crate shows requests and answers. A refusal
-- (RAISE) undoes its statement alone and leaves the transaction usable.
--
-- The views of requests have no rows: a trigger does what is requested. A trigger has no variables, so what
-- one step has found is inserted as a row into the view of the next, and is there the columns of NEW. The
-- jobs of a request are taken one after the other: each sees what those before it did.
--
-- An adapter sends jobs that the core has checked. Here is refused what would do harm: what breaks a column
-- or a place in the line, or costs a job its unique key. The rest is read member by member, and one that does
-- not decode counts as not set.
--
-- It needs SQLite 3.41 for `unhex`, and from 3.38 on a program that defines `unhex` itself.
--
-- This file is no migration. Each run of a migration drops all these views first, and with them their
-- triggers, and makes them again last, in the same transaction, so they always fit the schema and check no
-- version of it. A change of them needs a migration with the next number, if only an empty one: by that
-- number an older program knows that it must not replace them. A view that goes is listed in `FORMER_VIEWS`
-- in `src/migrate.rs`.

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

-- What requests have in common: the answers of the one before go, and one of a protocol that is not accepted
-- is answered with those that are. A NUL is refused, since SQLite ends a JSON string there without an error.
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
    INSERT INTO outbox_answers (place, answer)
    SELECT iif(is_accepted, 0, -1), iif(is_accepted, NEW.head, mismatch)
    FROM (
        SELECT json_extract(NEW.request, '$.protocol') BETWEEN oldest AND newest AS is_accepted, mismatch
        FROM outbox_protocols
    );
    SELECT raise(ABORT, 'outbox: the request has no array "jobs", or "ids"')
    WHERE json_type(NEW.request, NEW.list) IS NOT 'array' AND EXISTS (SELECT 1 FROM outbox_answers WHERE place = 0);
END;

-- Stores jobs: each is a row of `outbox_new`, and then of `outbox_found`.
CREATE VIEW outbox_enqueue (request) AS SELECT NULL WHERE FALSE;
CREATE TRIGGER outbox_enqueue_jobs INSTEAD OF INSERT ON outbox_enqueue
BEGIN
    INSERT INTO outbox_opened (request, list, head)
    SELECT NEW.request, '$.jobs', '{"now_ms":' || now_ms || ',"answers":[' FROM outbox_clock;
    INSERT INTO outbox_new (job, id, kind, queue, priority, max_attempts, args, options, unique_key, delay_ms, at_ms, now_ms)
    SELECT
        job, iif(
            json_extract(job, '$.id') GLOB '????????-????-????-????-????????????',
            unhex(replace(json_extract(job, '$.id'), '-', '')), NULL
        ),
        json_extract(job, '$.kind'), json_extract(job, '$.queue'), json_extract(job, '$.priority'),
        json_extract(job, '$.max_attempts'), json_extract(job, '$.args'), json_extract(job, '$.options'),
        json_extract(job, '$.options.unique_key'), json_extract(job, '$.delay_ms'), json_extract(job, '$.at_ms'), now_ms
    -- A text that is no job is no JSON here.
    FROM (SELECT iif(type = 'object', value, '{}') AS job FROM json_each(NEW.request, '$.jobs')), outbox_clock
    WHERE EXISTS (SELECT 1 FROM outbox_answers WHERE place = 0);
END;

-- One new job. 253402207200000 is the last instant there is (`Timestamp::MAX`). What has the type of its
-- column and is out of range fails here, too.
CREATE VIEW outbox_new (
    job, id, kind, queue, priority, max_attempts, args, options, unique_key, delay_ms, at_ms, now_ms
) AS SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE FALSE;
CREATE TRIGGER outbox_new_job INSTEAD OF INSERT ON outbox_new
BEGIN
    SELECT CASE
        -- To `json_extract`, true is 1 and null is nothing.
        WHEN (
            SELECT count(*) > count(DISTINCT key) OR max(type IS NOT CASE
                WHEN key IN ('id', 'kind', 'queue', 'args', 'key') THEN 'text'
                WHEN key IN ('priority', 'max_attempts', 'delay_ms', 'at_ms') THEN 'integer'
                WHEN key = 'suspended' THEN 'true'
                WHEN key = 'options' THEN 'object'
            END)
            FROM json_each(NEW.job)
        )
            THEN raise(ABORT, 'outbox: a member of a job is not known, not of its type, or named twice')
        WHEN (length(NEW.id) = 16) IS NOT TRUE
            THEN raise(ABORT, 'outbox: the "id" of a job is no UUID')
        WHEN (length(NEW.kind) BETWEEN 1 AND 64 AND NEW.kind NOT GLOB '*[^A-Za-z0-9._:/-]*') IS NOT TRUE
            THEN raise(ABORT, 'outbox: the "kind" of a job is no name: 1 to 64 of A-Z a-z 0-9 . _ : / -')
        WHEN (length(NEW.queue) BETWEEN 1 AND 64 AND NEW.queue NOT GLOB '*[^A-Za-z0-9._:/-]*') IS NOT TRUE
            THEN raise(ABORT, 'outbox: the "queue" of a job is no name: 1 to 64 of A-Z a-z 0-9 . _ : / -')
        WHEN (NEW.priority BETWEEN -10 AND 10) IS NOT TRUE
            THEN raise(ABORT, 'outbox: the "priority" of a job is no integer from -10 (first) to 10 (last)')
        WHEN (NEW.max_attempts BETWEEN 1 AND 65535) IS NOT TRUE
            THEN raise(ABORT, 'outbox: the "max_attempts" of a job is no integer from 1 to 65535')
        -- GLOB takes half of a surrogate pair for U+FFFD, and instr does not.
        WHEN (json_valid(NEW.args) AND length(CAST(NEW.args AS BLOB)) <= 1048576) IS NOT TRUE
            OR NEW.args GLOB '*' || char(65533) || '*' AND instr(NEW.args, char(65533)) = 0
            THEN raise(ABORT, 'outbox: the "args" are no JSON in a string of at most 1048576 bytes')
        WHEN (NEW.delay_ms IS NOT NULL) + (NEW.at_ms IS NOT NULL) + (NEW.job -> '$.suspended' IS NOT NULL) > 1
            THEN raise(ABORT, 'outbox: a job has more than one of "delay_ms", "at_ms" and "suspended"')
        WHEN NEW.delay_ms < 0 OR NEW.at_ms < 0 OR typeof(NEW.at_ms) = 'real'
            THEN raise(ABORT, 'outbox: the "delay_ms", or "at_ms", of a job is no integer from 0 on')
        WHEN (
            SELECT count(*) > count(DISTINCT key) OR max(coalesce(type <> CASE
                WHEN key = 'unique_key' THEN 'text'
                WHEN key = 'timeout_ms' THEN 'integer'
                WHEN key = 'tags' THEN 'array'
                WHEN key IN ('retry', 'retention', 'metadata') THEN 'object'
            END, FALSE))
            FROM json_each(NEW.options)
        )
            THEN raise(ABORT, 'outbox: a member of the "options" is not of its type, or named twice')
        WHEN length(CAST(NEW.unique_key AS BLOB)) NOT BETWEEN 1 AND 255
            OR NEW.unique_key GLOB '*' || char(65533) || '*' AND instr(NEW.unique_key, char(65533)) = 0
            THEN raise(ABORT, 'outbox: the "unique_key" of a job is no text of 1 to 255 bytes')
        WHEN json_array_length(NEW.options, '$.tags') > 32
            OR length(CAST(json_extract(NEW.options, '$.metadata') AS BLOB)) > 65536
            THEN raise(ABORT, 'outbox: the "tags" of a job are more than 32, or its "metadata" more than 65536 bytes')
        WHEN json_type(NEW.job, '$.key') IS NOT NULL
            AND (lower(json_extract(NEW.job, '$.key')) = lower(hex(NEW.unique_key)) AND NEW.unique_key <> '') IS NOT TRUE
            THEN raise(ABORT, 'outbox: the "key" of a job is not the hexadecimal form of its "unique_key"')
    END;
    INSERT INTO queues (name) SELECT NEW.queue WHERE NOT EXISTS (SELECT 1 FROM queues WHERE name = NEW.queue);
    INSERT INTO outbox_found (
        existing, seq, id, kind, queue, priority, max_attempts, args, options, unique_key, state, due, now_ms
    )
    SELECT
        coalesce(
            (SELECT json_object('existing', uuid, 'by', 'id') FROM outbox_located WHERE id = NEW.id),
            (
                SELECT json_object('existing', uuid, 'by', 'unique_key')
                FROM uniques JOIN outbox_located AS holder ON holder.seq = uniques.seq
                WHERE uniques.queue = queues.queue AND uniques.key = NEW.unique_key
            )
        ),
        (SELECT value FROM meta WHERE name = 'next_seq'),
        NEW.id, NEW.kind, queues.queue, NEW.priority, NEW.max_attempts, NEW.args, NEW.options, NEW.unique_key,
        CASE WHEN NEW.job -> '$.suspended' IS NOT NULL THEN 0 WHEN due > NEW.now_ms THEN 1 ELSE 2 END, due, NEW.now_ms
    FROM queues, (
        SELECT min(253402207200000, coalesce(
            NEW.at_ms, NEW.now_ms + CAST(min(NEW.delay_ms, 253402207200000) AS INTEGER), NEW.now_ms
        )) AS due
    )
    WHERE queues.name = NEW.queue;
END;

-- One new job, and the answer where a job with its id or its unique key is there.
CREATE VIEW outbox_found (
    existing, seq, id, kind, queue, priority, max_attempts, args, options, unique_key, state, due, now_ms
) AS SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE FALSE;
CREATE TRIGGER outbox_found_existing INSTEAD OF INSERT ON outbox_found
WHEN NEW.existing IS NOT NULL
BEGIN
    INSERT INTO outbox_answers (answer) VALUES (NEW.existing);
END;
CREATE TRIGGER outbox_found_none INSTEAD OF INSERT ON outbox_found
WHEN NEW.existing IS NULL
BEGIN
    -- 2^41 - 1: the run follows in the 22 lowest bits of the key of `runs`.
    SELECT raise(ABORT, 'outbox: the file has given each of its 2^41 numbers to a job') WHERE NEW.seq > 2199023255551;
    UPDATE meta SET value = NEW.seq + 1 WHERE name = 'next_seq';
    INSERT INTO jobs (
        seq, id, kind, queue, priority, run_at, created_at, max_attempts, args,
        has_options, unique_key, timeout_ms, retry, retention, tags, metadata
    )
    SELECT
        NEW.seq, NEW.id, NEW.kind, NEW.queue, NEW.priority, NEW.due, NEW.now_ms, NEW.max_attempts, CAST(NEW.args AS BLOB),
        coalesce(NEW.unique_key, timeout_ms, retry, retention, tags, metadata) IS NOT NULL,
        NEW.unique_key, timeout_ms, retry, retention, tags, metadata
    FROM (
        SELECT
            CAST(min(json_extract(NEW.options, '$.timeout_ms'), 9223372036854775807) AS INTEGER) AS timeout_ms,
            json_extract(NEW.options, '$.retry') AS retry,
            json_extract(NEW.options, '$.retention') AS retention,
            nullif(json_extract(NEW.options, '$.tags'), '[]') AS tags,
            nullif(json_extract(NEW.options, '$.metadata'), '{}') AS metadata
    );
    INSERT INTO uniques (queue, key, seq) SELECT NEW.queue, NEW.unique_key, NEW.seq WHERE NEW.unique_key IS NOT NULL;
    INSERT INTO ready (queue, priority, run_at, seq, run, attempt, crashes)
    SELECT NEW.queue, NEW.priority, NEW.due, NEW.seq, 0, 0, 0 WHERE NEW.state = 2;
    INSERT INTO waiting (seq, state, run_at, run, attempt, crashes)
    SELECT NEW.seq, NEW.state, NEW.due, 0, 0, 0 WHERE NEW.state <> 2;
    INSERT INTO counts (queue, state, amount) VALUES (NEW.queue, NEW.state, 1)
    ON CONFLICT (queue, state) DO UPDATE SET amount = amount + 1;
    INSERT INTO outbox_answers (answer) VALUES ('{"created":true}');
END;

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
    SELECT raise(ABORT, 'outbox: one of the "ids" is no UUID') WHERE (length(NEW.id) = 16) IS NOT TRUE;
    INSERT INTO requests (id, verb, patch, actor) VALUES (NEW.id, NEW.verb, NEW.patch, NEW.actor);
    INSERT INTO outbox_answers (answer) VALUES (last_insert_rowid());
END;

-- Jobs with their state, as `sql/job.sql` tells it.
CREATE VIEW outbox_located (seq, id, uuid, state, run, attempt, finished_at, needle) AS
SELECT
    jobs.seq, jobs.id,
    lower(
        substr(hex(jobs.id), 1, 8) || '-' || substr(hex(jobs.id), 9, 4) || '-' || substr(hex(jobs.id), 13, 4) || '-'
        || substr(hex(jobs.id), 17, 4) || '-' || substr(hex(jobs.id), 21)
    ),
    CASE
        WHEN ready.seq IS NOT NULL THEN 'available'
        WHEN waiting.seq IS NOT NULL THEN CASE waiting.state WHEN 0 THEN 'suspended' WHEN 1 THEN 'scheduled' ELSE 'retryable' END
        WHEN ended.seq IS NOT NULL THEN iif(ended.state = 6, 'cancelled', 'discarded')
        WHEN latest.state = 5 AND latest.run_key & 4194303 > jobs.retried_run THEN 'completed'
        ELSE 'running'
    END,
    latest.run_key & 4194303,
    coalesce(ready.attempt, waiting.attempt, ended.attempt, latest.attempt, 0),
    coalesce(ended.finished_at, latest.finished_at),
    -- The seq, little-endian: how the job's member of a claim begins.
    unhex(printf(
        '%02x%02x%02x%02x%02x%02x%02x%02x', jobs.seq & 255, jobs.seq >> 8 & 255, jobs.seq >> 16 & 255,
        jobs.seq >> 24 & 255, jobs.seq >> 32 & 255, jobs.seq >> 40 & 255, jobs.seq >> 48 & 255, jobs.seq >> 56 & 255
    ))
FROM jobs
    LEFT JOIN ready ON ready.queue = jobs.queue AND ready.priority = jobs.priority
        AND ready.run_at = jobs.run_at AND ready.seq = jobs.seq
    LEFT JOIN waiting ON waiting.seq = jobs.seq
    LEFT JOIN ended ON ended.seq = jobs.seq
    LEFT JOIN runs AS latest ON latest.run_key = (
        SELECT max(run_key) FROM runs WHERE run_key BETWEEN jobs.seq << 22 AND (jobs.seq << 22) + 4194303
    );

-- The members of all claims; `run` and `attempt` are little-endian there. A look for one job asks for
-- `members` that hold its bytes anywhere, too: so other claims are passed over at the speed of a search
-- through memory. The array of zeros only makes a row a member.
CREATE VIEW outbox_leased (members, member, run, attempt) AS
SELECT
    members, member,
    (instr(digits, substr(tally, 1, 1)) - 1) * 16 + instr(digits, substr(tally, 2, 1)) - 1
        + ((instr(digits, substr(tally, 3, 1)) - 1) * 16 + instr(digits, substr(tally, 4, 1)) - 1) * 256
        + ((instr(digits, substr(tally, 5, 1)) - 1) * 16 + instr(digits, substr(tally, 6, 1)) - 1) * 65536
        + ((instr(digits, substr(tally, 7, 1)) - 1) * 16 + instr(digits, substr(tally, 8, 1)) - 1) * 16777216,
    (instr(digits, substr(tally, 9, 1)) - 1) * 16 + instr(digits, substr(tally, 10, 1)) - 1
        + ((instr(digits, substr(tally, 11, 1)) - 1) * 16 + instr(digits, substr(tally, 12, 1)) - 1) * 256
FROM (
    SELECT
        claims.members, substr(claims.members, 16 * place.key + 1, 8) AS member,
        hex(substr(claims.members, 16 * place.key + 9, 6)) AS tally, '0123456789ABCDEF' AS digits
    FROM claims
        JOIN json_each('[0' || replace(hex(zeroblob(length(claims.members) / 16 - 1)), '00', ',0') || ']') AS place
);

-- Jobs by id, each as the JSON that the answers to `get` and `list` show. Few of them are read, so the view
-- is one to look up a job in, not to walk through.
CREATE VIEW outbox_job (id, job) AS
SELECT
    located.id,
    json_object(
        'id', located.uuid, 'kind', jobs.kind, 'queue', queues.name, 'state', located.state, 'priority', jobs.priority,
        'attempt', coalesce((
            SELECT attempt FROM outbox_leased AS leased
            WHERE located.state = 'running' AND instr(leased.members, located.needle) > 0
                AND leased.member = located.needle AND leased.run > coalesce(located.run, 0)
        ), located.attempt),
        'max_attempts', jobs.max_attempts, 'run_at_ms', jobs.run_at, 'created_at_ms', jobs.created_at,
        'finished_at_ms', iif(located.state IN ('completed', 'cancelled', 'discarded'), located.finished_at, NULL),
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

-- The newest 10,000 jobs: a `list` looks at no more, however many there are.
CREATE VIEW outbox_recent (id, queue, kind, state) AS
SELECT located.id, queues.name, jobs.kind, located.state
FROM (SELECT seq FROM jobs ORDER BY id DESC LIMIT 10000) AS recent
    CROSS JOIN jobs ON jobs.seq = recent.seq
    JOIN queues ON queues.queue = jobs.queue
    JOIN outbox_located AS located ON located.seq = recent.seq;
