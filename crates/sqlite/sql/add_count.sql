-- Purpose: keeps the number of a queue's jobs in a state in step with the jobs.
-- Parameters: ?1 queue; ?2 state, `JobState::index`; ?3 how many more jobs, negative for fewer.
-- Rows: none.
-- Index: the primary key of `counts`.
INSERT INTO counts (queue, state, amount) VALUES (?1, ?2, ?3)
ON CONFLICT (queue, state) DO UPDATE SET amount = amount + excluded.amount
