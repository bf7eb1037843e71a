-- Purpose: whether the role may see what sessions of other roles do.
-- Parameters: none.
-- Rows: one: whether it may; its name as an identifier.
-- Index: none.
SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'), quote_ident(current_user)
