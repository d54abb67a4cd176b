-- Stores what became of work, of shards that are still held by these terms; gives the shards that are lost. Of a
-- shard with two terms both must hold it. It is as it was, and faster: what is done is searched in one lane after the
-- other.
--
-- Arrays run in parallel: of terms those that begin with `term`, and one entry for each piece. `settled_terms`
-- are the numbers of terms, from 1. `outcomes` is NULL where all is done; otherwise 'done', 'later' with the
-- moment in `due_ats`, 'held', or 'dead' with `finals` and `holds`. `errors` says why an attempt failed, which is
-- then counted. No place is named twice.
CREATE OR REPLACE FUNCTION {schema}.settle_work(
    term_shards smallint[],
    term_numbers bigint[],
    term_workers uuid[],
    settled_terms integer[],
    settled_places bigint[],
    outcomes text[],
    due_ats bigint[],
    errors text[],
    finals boolean[],
    holds boolean[],
    stamp bigint,
    seen_sequence bigint,
    seen_commit uuid
) RETURNS smallint[]
LANGUAGE plpgsql
SET search_path = pg_catalog, {schema}, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_sort = off
SET jit = off
SET lock_timeout = '30s'
AS $$
#variable_conflict use_column
DECLARE
    now bigint;
    lost smallint[];
    gone bigint := 0;
    counted bigint;
    there record;
    piece work;
    tenants text[];
    receivers text[];
    keys text[];
BEGIN
    lost := lost_shards(
        settle_work.term_shards,
        settle_work.term_numbers,
        settle_work.term_workers,
        settle_work.stamp,
        settle_work.seen_sequence,
        settle_work.seen_commit
    );
    -- After the wait for the locks.
    now := time_now(settle_work.stamp);
    IF settle_work.outcomes IS NULL THEN
        -- Nearly always: what was ready is done, and nothing stands behind it. Most of it is of the normal lane, so
        -- that is searched first.
        FOR searched IN REVERSE 1 .. 0 LOOP
            DELETE FROM work AS w
            WHERE w.ctid = ANY (
                ARRAY(
                    SELECT there.row_id
                    FROM generate_series(1, cardinality(settle_work.settled_places)) AS n
                    CROSS JOIN LATERAL (
                        SELECT r.ctid AS row_id
                        FROM work AS r
                        WHERE r.shard = settle_work.term_shards[settle_work.settled_terms[n]]
                            AND r.lane = searched
                            AND r.place BETWEEN settle_work.settled_places[n] AND settle_work.settled_places[n]
                        ORDER BY r.place
                        LIMIT 1
                    ) AS there
                    WHERE settle_work.term_shards[settle_work.settled_terms[n]] <> ALL (lost)
                )
            );
            GET DIAGNOSTICS counted = ROW_COUNT;
            gone := gone + counted;
            IF gone = cardinality(settle_work.settled_places) THEN
                RETURN lost;
            END IF;
        END LOOP;
    END IF;
    FOR there IN
        WITH asked AS MATERIALIZED (
            SELECT
                settle_work.term_shards[settle_work.settled_terms[n]] AS shard,
                settle_work.settled_places[n] AS place,
                coalesce(settle_work.outcomes[n], 'done') AS outcome,
                settle_work.due_ats[n] AS due_at,
                settle_work.errors[n] AS error,
                settle_work.finals[n] AS is_final,
                settle_work.holds[n] AS holds
            FROM generate_series(1, cardinality(settle_work.settled_places)) AS n
            WHERE settle_work.term_shards[settle_work.settled_terms[n]] <> ALL (lost)
        ),
        was_ready AS (
            DELETE FROM work AS w
            USING (
                SELECT
                    asked.*,
                    found.row_id
                FROM asked
                CROSS JOIN LATERAL ready_row(asked.shard, asked.place) AS found
            ) AS a
            WHERE w.ctid = a.row_id
            RETURNING w AS piece, a.outcome, a.due_at, a.error, a.is_final, a.holds
        ),
        was_later AS (
            DELETE FROM work_later AS w
            USING asked AS a
            WHERE w.shard = a.shard AND w.place = a.place
            RETURNING ROW(w.*)::work AS piece, a.outcome, a.due_at, a.error, a.is_final, a.holds
        )
        SELECT * FROM was_ready
        UNION ALL
        SELECT * FROM was_later
    LOOP
        piece := there.piece;
        -- What was ready blocked nothing.
        IF piece.holds OR there.outcome = 'held' THEN
            tenants := tenants || piece.tenant;
            receivers := receivers || piece.receiver;
            keys := keys || piece.key;
        END IF;
        piece.attempts := piece.attempts + (there.error IS NOT NULL)::integer;
        piece.last_error := coalesce(there.error, piece.last_error);
        piece.begun := 0;
        piece.due_at := there.due_at;
        piece.holds := coalesce(there.holds, true);
        IF there.outcome IN ('later', 'held') THEN
            INSERT INTO work_later
            SELECT piece.*;
        ELSIF there.outcome = 'dead' THEN
            piece.died_at := now;
            piece.is_final := there.is_final;
            INSERT INTO dead_letters
            SELECT piece.*;
        END IF;
    END LOOP;
    FOR n IN 1 .. coalesce(cardinality(tenants), 0) LOOP
        PERFORM release_line(tenants[n], receivers[n], keys[n], now);
    END LOOP;
    RETURN lost;
END
$$;
