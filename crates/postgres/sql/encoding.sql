-- Purpose: how the database stores texts.
-- Parameters: none.
-- Rows: one: the encoding's name.
-- Index: none.
SELECT current_setting('server_encoding')
