-- The outbox: jobs in the transaction of another program. Its views and triggers are in `views/outbox.sql`.

-- What the latest request was answered: one row a job from place 1 on; 0 is what stands before them; -1
-- stands for them all.
CREATE TABLE outbox_answers (
    place  INTEGER PRIMARY KEY,
    answer TEXT NOT NULL
) STRICT;
