-- Whether a line has a head before a place. A line is looked for as a range in the order of its indexes, from the
-- end: where dead rows cannot be cleaned away for a time, those of heads that are gone come after it.
CREATE FUNCTION {schema}.line_is_blocked(
    tenant text,
    receiver text,
    key text,
    place bigint
) RETURNS TABLE (is_blocked boolean)
LANGUAGE sql
STABLE
ROWS 1
AS $$
    SELECT coalesce(
        (
            SELECT true
            FROM {schema}.work_later AS head
            WHERE (head.tenant, head.receiver, head.key)
                >= (line_is_blocked.tenant, line_is_blocked.receiver, line_is_blocked.key)
                AND (head.tenant, head.receiver, head.key, head.place)
                < (line_is_blocked.tenant, line_is_blocked.receiver, line_is_blocked.key, line_is_blocked.place)
                AND head.holds
                AND head.due_at IS NOT NULL
            ORDER BY head.tenant DESC, head.receiver DESC, head.key DESC, head.place DESC
            LIMIT 1
        ),
        (
            SELECT true
            FROM {schema}.dead_letters AS head
            WHERE (head.tenant, head.receiver, head.key)
                >= (line_is_blocked.tenant, line_is_blocked.receiver, line_is_blocked.key)
                AND (head.tenant, head.receiver, head.key, head.place)
                < (line_is_blocked.tenant, line_is_blocked.receiver, line_is_blocked.key, line_is_blocked.place)
                AND head.holds
            ORDER BY head.tenant DESC, head.receiver DESC, head.key DESC, head.place DESC
            LIMIT 1
        ),
        false
    )
$$;
