-- Stores what became of work, of shards that are still held by these terms; gives the shards that are lost. Of a
-- shard with two terms both must hold it.
--
-- Arrays run in parallel: of terms those that begin with `term`, and one entry for each piece. `settled_terms`
-- are the numbers of terms, from 1. `outcomes` is NULL where all is done; otherwise 'done', 'later' with the
-- moment in `due_ats`, 'held', or 'dead' with `finals` and `holds`. `errors` says why an attempt failed, which is
-- then counted. No place is named twice.
CREATE FUNCTION {schema}.settle_work(
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
    gone bigint;
    tenants text[];
    receivers text[];
    keys text[];
BEGIN
    PERFORM FROM work_shards AS s WHERE s.shard = ANY (settle_work.term_shards) ORDER BY s.shard FOR UPDATE;
    PERFORM check_work_log(settle_work.seen_sequence, settle_work.seen_commit);
    -- After the wait for the locks.
    now := time_now(settle_work.stamp);
    lost := ARRAY(
        SELECT settle_work.term_shards[n]
        FROM generate_series(1, cardinality(settle_work.term_shards)) AS n
        LEFT JOIN LATERAL (
            SELECT t.term, t.worker, t.expires_at
            FROM shard_terms AS t
            WHERE t.shard = settle_work.term_shards[n]
            ORDER BY t.move DESC
            LIMIT 1
        ) AS there ON true
        WHERE (
            there.term = settle_work.term_numbers[n]
            AND there.worker = settle_work.term_workers[n]
            AND there.expires_at > now
        ) IS NOT TRUE
    );
    IF settle_work.outcomes IS NULL THEN
        -- Nearly always: what was ready is done, and nothing stands behind it. A place is looked for as a range in
        -- its order, so that the one index that has this order is searched, whatever the statistics say.
        DELETE FROM work AS w
        USING (
            SELECT there.row_id
            FROM generate_series(1, cardinality(settle_work.settled_places)) AS n
            CROSS JOIN generate_series(0, 1) AS lane
            CROSS JOIN LATERAL (
                SELECT r.ctid AS row_id
                FROM work AS r
                WHERE r.shard = settle_work.term_shards[settle_work.settled_terms[n]]
                    AND r.lane = lane
                    AND r.place BETWEEN settle_work.settled_places[n] AND settle_work.settled_places[n]
                ORDER BY r.place
                LIMIT 1
            ) AS there
            WHERE settle_work.term_shards[settle_work.settled_terms[n]] <> ALL (lost)
        ) AS found
        WHERE w.ctid = found.row_id;
        GET DIAGNOSTICS gone = ROW_COUNT;
        IF gone = cardinality(settle_work.settled_places) THEN
            RETURN lost;
        END IF;
    END IF;
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
            SELECT asked.*, there.row_id
            FROM asked
            CROSS JOIN generate_series(0, 1) AS lane
            CROSS JOIN LATERAL (
                SELECT r.ctid AS row_id
                FROM work AS r
                WHERE r.shard = asked.shard
                    AND r.lane = lane
                    AND r.place BETWEEN asked.place AND asked.place
                ORDER BY r.place
                LIMIT 1
            ) AS there
        ) AS a
        WHERE w.ctid = a.row_id
        RETURNING
            w.place,
            w.sent_at,
            w.version,
            w.work_id,
            w.commit_id,
            w.shard,
            w.lane,
            w.tenant,
            w.kind,
            w.receiver,
            w.key,
            w.name,
            w.encoding,
            w.key_id,
            w.metadata,
            w.payload,
            (a.error IS NOT NULL)::integer AS attempts,
            a.error AS last_error,
            false AS held_line,
            a.outcome,
            a.due_at,
            a.is_final,
            a.holds
    ),
    was_later AS (
        DELETE FROM work_later AS w
        USING asked AS a
        WHERE w.shard = a.shard AND w.place = a.place
        RETURNING
            w.place,
            w.sent_at,
            w.version,
            w.work_id,
            w.commit_id,
            w.shard,
            w.lane,
            w.tenant,
            w.kind,
            w.receiver,
            w.key,
            w.name,
            w.encoding,
            w.key_id,
            w.metadata,
            w.payload,
            w.attempts + (a.error IS NOT NULL)::integer AS attempts,
            coalesce(a.error, w.last_error) AS last_error,
            w.holds AS held_line,
            a.outcome,
            a.due_at,
            a.is_final,
            a.holds
    ),
    taken AS MATERIALIZED (
        SELECT * FROM was_ready
        UNION ALL
        SELECT * FROM was_later
    ),
    kept AS (
        INSERT INTO work_later (
            place,
            sent_at,
            version,
            work_id,
            commit_id,
            shard,
            lane,
            tenant,
            kind,
            receiver,
            key,
            name,
            encoding,
            key_id,
            metadata,
            payload,
            attempts,
            last_error,
            due_at,
            holds
        )
        SELECT
            place,
            sent_at,
            version,
            work_id,
            commit_id,
            shard,
            lane,
            tenant,
            kind,
            receiver,
            key,
            name,
            encoding,
            key_id,
            metadata,
            payload,
            attempts,
            last_error,
            due_at,
            true
        FROM taken
        WHERE outcome IN ('later', 'held')
    ),
    given_up AS (
        INSERT INTO dead_letters (
            place,
            sent_at,
            version,
            work_id,
            commit_id,
            shard,
            lane,
            tenant,
            kind,
            receiver,
            key,
            name,
            encoding,
            key_id,
            metadata,
            payload,
            attempts,
            last_error,
            died_at,
            is_final,
            holds
        )
        SELECT
            place,
            sent_at,
            version,
            work_id,
            commit_id,
            shard,
            lane,
            tenant,
            kind,
            receiver,
            key,
            name,
            encoding,
            key_id,
            metadata,
            payload,
            attempts,
            last_error,
            now,
            is_final,
            holds
        FROM taken
        WHERE outcome = 'dead'
    )
    SELECT array_agg(tenant), array_agg(receiver), array_agg(key)
    INTO tenants, receivers, keys
    FROM taken
    WHERE held_line OR outcome = 'held';
    FOR n IN 1 .. coalesce(cardinality(tenants), 0) LOOP
        PERFORM release_line(tenants[n], receivers[n], keys[n], now);
    END LOOP;
    RETURN lost;
END
$$;
