-- Makes the lowest piece that stands behind in a line its head, where the line has none. The shard of the line
-- is locked.
CREATE FUNCTION {schema}.release_line(tenant text, receiver text, key text, moment bigint) RETURNS void
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    lowest record;
BEGIN
    PERFORM
    FROM work_later AS l
    WHERE l.tenant = release_line.tenant
        AND l.receiver = release_line.receiver
        AND l.key = release_line.key
        AND l.holds
        AND l.due_at IS NOT NULL
    ORDER BY l.place DESC
    LIMIT 1;
    IF FOUND THEN
        RETURN;
    END IF;
    PERFORM
    FROM dead_letters AS d
    WHERE d.tenant = release_line.tenant
        AND d.receiver = release_line.receiver
        AND d.key = release_line.key
        AND d.holds
    LIMIT 1;
    IF FOUND THEN
        RETURN;
    END IF;
    SELECT l.shard, l.place
    INTO lowest
    FROM work_later AS l
    WHERE l.tenant = release_line.tenant
        AND l.receiver = release_line.receiver
        AND l.key = release_line.key
        AND l.holds
        AND l.due_at IS NULL
    ORDER BY l.place
    LIMIT 1;
    UPDATE work_later AS l
    SET due_at = release_line.moment
    WHERE l.shard = lowest.shard AND l.place = lowest.place;
END
$$;
