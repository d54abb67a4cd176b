-- Makes the lowest piece that stands behind in a line its head, where the line has none. The shard of the line
-- is locked. A line is looked for as a range in the order of its index: no other index has that order.
CREATE FUNCTION {schema}.release_line(tenant text, receiver text, key text, moment bigint) RETURNS void
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    lowest record;
BEGIN
    PERFORM
    FROM work_later AS l
    WHERE (l.tenant, l.receiver, l.key) >= (release_line.tenant, release_line.receiver, release_line.key)
        AND (l.tenant, l.receiver, l.key) <= (release_line.tenant, release_line.receiver, release_line.key)
        AND l.holds
        AND l.due_at IS NOT NULL
    ORDER BY l.tenant DESC, l.receiver DESC, l.key DESC, l.place DESC
    LIMIT 1;
    IF FOUND THEN
        RETURN;
    END IF;
    PERFORM
    FROM dead_letters AS d
    WHERE (d.tenant, d.receiver, d.key) >= (release_line.tenant, release_line.receiver, release_line.key)
        AND (d.tenant, d.receiver, d.key) <= (release_line.tenant, release_line.receiver, release_line.key)
        AND d.holds
    ORDER BY d.tenant, d.receiver, d.key, d.place
    LIMIT 1;
    IF FOUND THEN
        RETURN;
    END IF;
    SELECT l.shard, l.place
    INTO lowest
    FROM work_later AS l
    WHERE (l.tenant, l.receiver, l.key) >= (release_line.tenant, release_line.receiver, release_line.key)
        AND (l.tenant, l.receiver, l.key) <= (release_line.tenant, release_line.receiver, release_line.key)
        AND l.holds
        AND l.due_at IS NULL
    ORDER BY l.tenant, l.receiver, l.key, l.place
    LIMIT 1;
    UPDATE work_later AS l
    SET due_at = release_line.moment
    WHERE l.shard = lowest.shard AND l.place = lowest.place;
END
$$;
