-- Removes a schedule and says whether there was one. Of all that a tenant removed one row stays, which has no name: the
-- highest of their revisions.
CREATE FUNCTION {schema}.remove_schedule(tenant text, name text) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, {schema}, pg_temp
SET lock_timeout = '30s'
AS $$
#variable_conflict use_column
DECLARE
    highest bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('{schema}.schedules ' || remove_schedule.tenant, 0));
    IF NOT EXISTS (
        SELECT
        FROM schedules AS s
        WHERE s.tenant = remove_schedule.tenant AND s.name = remove_schedule.name AND NOT s.is_removed
    ) THEN
        RETURN false;
    END IF;
    -- Those that were removed before this function was there have a row each.
    WITH gone AS (
        DELETE FROM schedules AS s
        WHERE s.tenant = remove_schedule.tenant AND (s.is_removed OR s.name = remove_schedule.name)
        RETURNING s.revision
    )
    SELECT max(gone.revision) INTO highest FROM gone;
    INSERT INTO schedules (tenant, name, revision, is_removed, definition)
    VALUES (remove_schedule.tenant, '', highest, true, 'null');
    RETURN true;
END
$$;
