-- The last position recorded at or before a time. Recorded times never decrease, so halving the log
-- finds the place.
CREATE FUNCTION {schema}.position_at(stamp bigint) RETURNS bigint
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, {schema}, pg_temp
AS $$
DECLARE
    -- Everything up to `before` was recorded in time; nothing from `beyond` on was.
    before bigint := 0;
    beyond bigint := coalesce((SELECT e.position FROM events AS e ORDER BY e.position DESC LIMIT 1), 0) + 1;
    middle bigint;
BEGIN
    WHILE before + 1 < beyond LOOP
        middle := before + (beyond - before) / 2;
        -- A range, in the order of positions: a newer server may look under every tenant otherwise.
        IF (
            SELECT e.recorded_at
            FROM events AS e
            WHERE e.position BETWEEN middle AND middle
            ORDER BY e.position
            LIMIT 1
        ) <= stamp THEN
            before := middle;
        ELSE
            beyond := middle;
        END IF;
    END LOOP;
    RETURN before;
END
$$;
