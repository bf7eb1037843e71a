-- Purpose: whether the transaction is the one that was begun, and not one that came after it, or none.
-- Parameters: $1 the mark it was given when it began.
-- Rows: yes or no.
-- Index: none.
SELECT coalesce(current_setting('gristmill_tx.mark', true) = $1::text, false)
