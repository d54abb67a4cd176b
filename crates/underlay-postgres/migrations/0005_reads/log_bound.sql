-- Where a read of the log ends that looks at about `span` positions after `after`: at the end of a
-- commit. It tells a tenant's reader positions, and nothing of what is there.
CREATE FUNCTION {schema}.log_bound(after bigint, span bigint, OUT head bigint, OUT bound bigint)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, {schema}, pg_temp
AS $$
BEGIN
    head := coalesce((SELECT e.position FROM events AS e ORDER BY e.position DESC LIMIT 1), 0);
    bound := after;
    IF after < head THEN
        bound := (
            SELECT e.position + e.commit_tail
            FROM events AS e
            -- A range, in the order of positions: a newer server may look under every tenant otherwise.
            WHERE e.position BETWEEN least(after + span, head) AND least(after + span, head)
            ORDER BY e.position
            LIMIT 1
        );
    END IF;
END
$$;
