-- The codec that has written the args of a job; NULL for JSON. One of the options: `has_options` says whether
-- to look.
ALTER TABLE jobs ADD COLUMN encoding TEXT;
