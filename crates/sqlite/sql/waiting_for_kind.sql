-- Purpose: scheduled jobs of a kind that wait for a reason.
-- Parameters: ?1 reason; ?2 kind.
-- Rows: seq.
-- Index: waiting_reason.
SELECT waiting.seq FROM waiting JOIN jobs ON jobs.seq = waiting.seq
WHERE waiting.reason = ?1 AND waiting.state IN (1, 4) AND jobs.kind = ?2
