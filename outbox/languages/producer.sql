-- A role that may store jobs and nothing else with them. Run it as the owner of the schema `gristmill`.

CREATE ROLE shop LOGIN;
GRANT USAGE ON SCHEMA gristmill TO shop;
GRANT EXECUTE ON FUNCTION gristmill.enqueue(text, jsonb, jsonb) TO shop;

-- The examples' own table. A role called `gristmill` would make it in the schema of its name, did it not name
-- another.
CREATE TABLE public.users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text NOT NULL);
GRANT SELECT, INSERT ON public.users TO shop;
