-- Puts a schedule in place of one of that name and gives its revision; NULL where the tenant would have more than
-- `at_most`. One of the same definition stays as it is, with its revision. A new one begins above the revisions of all
-- that the tenant removed. Whoever puts or removes one of the same tenant waits, so that nobody counts past another.
CREATE OR REPLACE FUNCTION {schema}.put_schedule(
    tenant text,
    name text,
    definition text,
    next_due_at bigint,
    at_most bigint
) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, {schema}, pg_temp
SET lock_timeout = '30s'
AS $$
#variable_conflict use_column
DECLARE
    put bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('{schema}.schedules ' || put_schedule.tenant, 0));
    SELECT s.revision INTO put
    FROM schedules AS s
    WHERE s.tenant = put_schedule.tenant
        AND s.name = put_schedule.name
        AND s.definition::text = put_schedule.definition
        AND NOT s.is_removed
    FOR UPDATE;
    IF FOUND THEN
        RETURN put;
    END IF;
    IF NOT EXISTS (
        SELECT
        FROM schedules AS s
        WHERE s.tenant = put_schedule.tenant AND s.name = put_schedule.name AND NOT s.is_removed
    ) AND put_schedule.at_most <= (
        SELECT count(*)
        FROM schedules AS s
        WHERE s.tenant = put_schedule.tenant AND NOT s.is_removed
    ) THEN
        RETURN NULL;
    END IF;
    INSERT INTO schedules AS there (tenant, name, revision, next_due_at, definition)
    VALUES (
        put_schedule.tenant,
        put_schedule.name,
        1 + coalesce((
            SELECT max(s.revision)
            FROM schedules AS s
            WHERE s.tenant = put_schedule.tenant AND s.is_removed
        ), 0),
        put_schedule.next_due_at,
        put_schedule.definition::json
    )
    ON CONFLICT (tenant, name) DO UPDATE SET
        revision = there.revision + 1,
        next_due_at = excluded.next_due_at,
        is_removed = false,
        definition = excluded.definition
    RETURNING there.revision INTO put;
    RETURN put;
END
$$;
