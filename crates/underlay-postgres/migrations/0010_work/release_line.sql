-- Makes the lowest piece that stands behind in a line its head, where the line has none. The shard of the line
-- is locked. A line is looked for as a range in the order of its index: no other index has that order.
CREATE FUNCTION {schema}.release_line(tenant text, receiver text, key text, moment bigint) RETURNS void
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    lowest record;
BEGIN
    IF (
        SELECT line.is_blocked
        FROM line_is_blocked(
            release_line.tenant,
            release_line.receiver,
            release_line.key,
            9223372036854775807
        ) AS line
    ) THEN
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
