-- A page of what is due in a shard after a moment and a place, in their order: of one tenant, or, where none is named,
-- of all but those that are passed. What stands at a place in `left_out` does not come. As in `ready_work`, one row more
-- comes of one tenant, and of all the last that was looked at. What holds the line itself yields to a head of a lower
-- place alone.
--
-- One row at least: the time of the look, and the next moment something is due that is not due yet.
CREATE FUNCTION {schema}.due_work(
    shard smallint,
    stamp bigint,
    left_out bigint[],
    tenant text,
    after bigint,
    after_place bigint,
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
DECLARE
    nothing read_work;
BEGIN
    nothing.now := time_now(due_work.stamp);
    nothing.next_due_at := (
        SELECT due_at
        FROM work_later
        WHERE shard = due_work.shard
            AND due_at > nothing.now
            AND place <> ALL (due_work.left_out)
        ORDER BY
            due_at,
            place
        LIMIT 1
    );
    IF due_work.tenant IS NOT NULL THEN
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
            nothing.now,
            nothing.next_due_at
        FROM (
            SELECT *
            FROM work_later
            WHERE shard = due_work.shard
                AND (tenant, due_at, place) > (due_work.tenant, due_work.after, due_work.after_place)
                AND tenant <= due_work.tenant
                AND due_at <= nothing.now
                AND place <> ALL (due_work.left_out)
            ORDER BY
                tenant,
                due_at,
                place
            LIMIT due_work.wanted + 1
        ) AS w
        CROSS JOIN LATERAL line_is_blocked(
            w.tenant,
            w.receiver,
            w.key,
            CASE WHEN w.holds THEN w.place ELSE 9223372036854775807 END
        ) AS line
        ORDER BY
            w.tenant,
            w.due_at,
            w.place;
    ELSE
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
            nothing.now,
            nothing.next_due_at
        FROM (
            SELECT
                *,
                row_number() OVER (ORDER BY due_at, place) AS scanned,
                lead(place) OVER (ORDER BY due_at, place) AS next
            FROM (
                SELECT *
                FROM work_later
                WHERE shard = due_work.shard
                    AND (due_at, place) > (due_work.after, due_work.after_place)
                    AND due_at <= nothing.now
                    AND place <> ALL (due_work.left_out)
                ORDER BY
                    due_at,
                    place
                LIMIT due_work.scan + 1
            ) AS walked
        ) AS w
        CROSS JOIN LATERAL line_is_blocked(
            w.tenant,
            w.receiver,
            w.key,
            CASE WHEN w.holds THEN w.place ELSE 9223372036854775807 END
        ) AS line
        WHERE w.scanned <= due_work.scan
            AND (w.scanned = due_work.scan OR w.next IS NULL OR w.tenant <> ALL (due_work.passed))
        ORDER BY
            w.due_at,
            w.place
        LIMIT due_work.wanted;
    END IF;
    IF NOT FOUND THEN
        RETURN NEXT nothing;
    END IF;
END
$$;
