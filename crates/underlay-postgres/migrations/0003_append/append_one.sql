-- As `append`, for one commit of one event. `ended` is the position, or as in `commit_ends` there.
CREATE FUNCTION {schema}.append_one(
    writer uuid,
    attempt bigint,
    stamp bigint,
    tenant text,
    commit_id uuid,
    fingerprint bytea,
    metadata text,
    stream text,
    expected bigint,
    event_id uuid,
    type text,
    schema_version bigint,
    payload text,
    seen_position bigint DEFAULT NULL,
    seen_event uuid DEFAULT NULL,
    OUT ended bigint,
    OUT recorded_at bigint,
    OUT actual_version bigint
)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, {schema}, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_sort = off
SET lock_timeout = '30s'
AS $$
#variable_conflict use_column
DECLARE
    last record;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'append needs the isolation level read committed' USING ERRCODE = 'UL000';
    END IF;
    -- What follows sees everything that was stored before the lock was given.
    PERFORM FROM log_head WHERE one = 1 FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'log_head has no row to lock, so nobody can say what comes first' USING ERRCODE = 'UL005';
    END IF;
    SELECT
        coalesce(c.sequence, 0) AS sequence,
        coalesce(c.position, 0) AS position,
        greatest(
            c.recorded_at,
            coalesce(append_one.stamp, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
        ) AS recorded_at,
        EXISTS (
            SELECT FROM fences WHERE fences.writer = append_one.writer AND fences.attempt >= append_one.attempt
        ) AS fenced,
        append_one.seen_position IS NULL OR EXISTS (
            SELECT FROM events
            WHERE events.position = append_one.seen_position AND events.event_id = append_one.seen_event
        ) AS same_log,
        EXISTS (
            SELECT FROM commits
            WHERE commits.tenant = append_one.tenant AND commits.commit_id = append_one.commit_id
        ) AS known,
        coalesce(
            (
                SELECT events.version
                FROM events
                WHERE events.tenant = append_one.tenant AND events.stream = append_one.stream
                ORDER BY events.version DESC
                LIMIT 1
            ),
            0
        ) AS version
    INTO last
    FROM (SELECT) AS always
    LEFT JOIN LATERAL (
        SELECT commits.sequence, commits.position, commits.recorded_at
        FROM commits
        ORDER BY commits.sequence DESC
        LIMIT 1
    ) AS c ON true;
    IF last.fenced THEN
        RAISE EXCEPTION 'this attempt was declared void' USING ERRCODE = 'UL001';
    END IF;
    IF NOT last.same_log THEN
        RAISE EXCEPTION 'the last event this process has seen is not at its position' USING ERRCODE = 'UL006';
    END IF;
    append_one.recorded_at := last.recorded_at;
    append_one.actual_version := last.version;
    IF last.known THEN
        append_one.ended := -1;
        RETURN;
    END IF;
    IF NOT (
        append_one.expected IN (-1, last.version) OR (append_one.expected = -2 AND last.version > 0)
    ) THEN
        append_one.ended := -2;
        RETURN;
    END IF;
    append_one.ended := last.position + 1;
    INSERT INTO events (
        position,
        version,
        recorded_at,
        schema_version,
        event_id,
        commit_tail,
        tenant,
        stream,
        type,
        metadata,
        payload
    ) VALUES (
        append_one.ended,
        last.version + 1,
        last.recorded_at,
        append_one.schema_version,
        append_one.event_id,
        0,
        append_one.tenant,
        append_one.stream,
        append_one.type,
        append_one.metadata::json,
        append_one.payload::json
    );
    INSERT INTO commits (
        sequence,
        position,
        recorded_at,
        commit_id,
        event_count,
        tenant,
        fingerprint,
        kind
    ) VALUES (
        last.sequence + 1,
        append_one.ended,
        last.recorded_at,
        append_one.commit_id,
        1,
        append_one.tenant,
        append_one.fingerprint,
        'accepted'
    );
END
$$;
