-- Enqueues a job for each new user, inserted by any role and in any language. Run it as the owner of `users`,
-- which needs the rights of producer.sql. The role that inserts needs none of them: the function runs with
-- the rights of its owner.

CREATE FUNCTION public.welcome_user() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    PERFORM gristmill.enqueue('email.welcome', jsonb_build_object('user_id', NEW.id, 'email', NEW.email),
        jsonb_build_object('unique_key', format('welcome:%s', NEW.id)));
    RETURN NULL;
END
$$;
-- Otherwise every role could use it as a trigger on its own tables.
REVOKE EXECUTE ON FUNCTION public.welcome_user() FROM PUBLIC;

CREATE TRIGGER welcome_user AFTER INSERT ON public.users FOR EACH ROW EXECUTE FUNCTION public.welcome_user();
