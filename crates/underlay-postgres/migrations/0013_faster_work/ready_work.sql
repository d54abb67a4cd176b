-- A page of what is ready in a shard and a lane after a place, in the order of places: of one tenant, or, where none
-- is named, of all but those that are passed.
--
-- Of one tenant one row more than is wanted comes, where there is one, and `is_last` is NULL. Of all so many rows as
-- `scan` says are looked at. The last of them comes along whether its tenant is passed or not, and says how far it was;
-- `is_last` that nothing follows it.
--
-- A session keeps the plans, also those it made while the table was empty. Nothing may be sorted, and the order asked
-- for is that of one index alone: so that one is walked. A tenant is asked for as a range for that.
CREATE FUNCTION {schema}.ready_work(
    shard smallint,
    lane smallint,
    tenant text,
    after bigint,
    passed text[],
    wanted bigint,
    scan bigint
) RETURNS SETOF {schema}.read_work
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, {schema}, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_sort = off
SET enable_incremental_sort = off
SET jit = off
AS $$
#variable_conflict use_column
BEGIN
    IF ready_work.tenant IS NOT NULL THEN
        RETURN QUERY
        SELECT
            w.place,
            w.sent_at,
            w.version,
            w.due_at,
            w.died_at,
            w.work_id,
            w.commit_id,
            w.attempts,
            w.begun,
            w.shard,
            w.lane,
            w.is_final,
            w.holds,
            w.tenant,
            w.kind,
            w.receiver,
            w.key,
            w.name,
            w.encoding,
            w.key_id,
            w.last_error,
            w.metadata,
            w.payload,
            line.is_blocked,
            NULL::boolean,
            NULL::bigint,
            NULL::bigint
        FROM (
            SELECT *
            FROM work
            WHERE shard = ready_work.shard
                AND lane = ready_work.lane
                AND tenant >= ready_work.tenant
                AND tenant <= ready_work.tenant
                AND place > ready_work.after
            ORDER BY
                tenant,
                place
            LIMIT ready_work.wanted + 1
        ) AS w
        CROSS JOIN LATERAL line_is_blocked(w.tenant, w.receiver, w.key, 9223372036854775807) AS line
        ORDER BY
            w.tenant,
            w.place;
        RETURN;
    END IF;
    RETURN QUERY
    SELECT
        w.place,
        w.sent_at,
        w.version,
        w.due_at,
        w.died_at,
        w.work_id,
        w.commit_id,
        w.attempts,
        w.begun,
        w.shard,
        w.lane,
        w.is_final,
        w.holds,
        w.tenant,
        w.kind,
        w.receiver,
        w.key,
        w.name,
        w.encoding,
        w.key_id,
        w.last_error,
        w.metadata,
        w.payload,
        line.is_blocked,
        w.next IS NULL,
        NULL::bigint,
        NULL::bigint
    FROM (
        SELECT
            *,
            row_number() OVER (ORDER BY place) AS scanned,
            lead(place) OVER (ORDER BY place) AS next
        FROM (
            SELECT *
            FROM work
            WHERE shard = ready_work.shard
                AND lane = ready_work.lane
                AND place > ready_work.after
            ORDER BY
                shard,
                lane,
                place
            LIMIT ready_work.scan + 1
        ) AS walked
    ) AS w
    CROSS JOIN LATERAL line_is_blocked(w.tenant, w.receiver, w.key, 9223372036854775807) AS line
    WHERE w.scanned <= ready_work.scan
        AND (w.scanned = ready_work.scan OR w.next IS NULL OR w.tenant <> ALL (ready_work.passed))
    ORDER BY w.place
    LIMIT ready_work.wanted;
END
$$;
