-- What others leave out, taken away from ours.
DO $$
DECLARE
    name text;
BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'underlay' LOOP
        EXECUTE format('ALTER TABLE underlay.%I DISABLE ROW LEVEL SECURITY', name);
    END LOOP;
    DROP INDEX IF EXISTS underlay.events_by_id;
    DROP INDEX IF EXISTS underlay.commits_with_body;
END
$$
