-- Writes a batch of commits, each checked by itself, in one transaction with no round trip inside.
--
-- Arrays run in parallel: one entry per commit, per stream a commit expects something of, per event.
-- Numbers count from 1: `expected_commits` and `event_commits` those of commits, `event_expectations`
-- those of expectations. `commit_ends` counts the events of the batch up to the end of a commit,
-- `event_steps` those of a commit for one stream up to an event, `event_tails` those of its commit that
-- follow. An expected version is the version, -1 for any, -2 for an existing stream. Without refusals
-- `commit_codes`, `commit_messages` and `commit_bodies` are NULL.
--
-- `seen_position` and `seen_event` are the last event the caller has seen: where it is not there, this log
-- is another one, and nothing is stored.
--
-- `head` is the position before the batch, `actual_versions` are those before. `commit_ends` comes back
-- without the events of what is not stored, and with -1 in the place of a commit whose id is known, -2
-- of one with an expectation that does not hold; where all is stored it is NULL.
CREATE FUNCTION {schema}.append(
    writer uuid,
    attempt bigint,
    stamp bigint,
    commit_tenants text[],
    commit_ids uuid[],
    commit_fingerprints bytea[],
    commit_events integer[],
    INOUT commit_ends integer[],
    commit_codes text[],
    commit_messages text[],
    commit_bodies text[],
    commit_metadata text[],
    expected_commits integer[],
    expected_streams text[],
    expected_versions bigint[],
    event_commits integer[],
    event_expectations integer[],
    event_steps integer[],
    event_tails integer[],
    event_ids uuid[],
    event_types text[],
    event_schema_versions bigint[],
    event_payloads text[],
    seen_position bigint DEFAULT NULL,
    seen_event uuid DEFAULT NULL,
    OUT head bigint,
    OUT recorded_at bigint,
    OUT actual_versions bigint[]
)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, {schema}, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_sort = off
SET jit = off
SET lock_timeout = '30s'
AS $$
#variable_conflict use_column
DECLARE
    last record;
    known integer[];
    conflicts integer[];
    failed integer[];
    events_before integer := 0;
    events_stored integer := 0;
    verdict integer;
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
            coalesce(append.stamp, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
        ) AS recorded_at,
        EXISTS (
            SELECT FROM fences WHERE fences.writer = append.writer AND fences.attempt >= append.attempt
        ) AS fenced,
        append.seen_position IS NULL OR EXISTS (
            SELECT FROM events
            WHERE events.position = append.seen_position AND events.event_id = append.seen_event
        ) AS same_log
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
    append.head := last.position;
    append.recorded_at := last.recorded_at;
    -- Here and below, one look into an index for each, whatever the planner thinks of the size of a
    -- table: plans are kept from when it was empty. Where nothing may be sorted, the last version is
    -- read from the end of the one index that has the order. Elements of arrays are taken one by one,
    -- which is cheaper than `unnest` of many.
    SELECT
        array_agg(e.actual ORDER BY e.n),
        array_agg(append.expected_commits[e.n])
            FILTER (WHERE NOT (e.expected IN (-1, e.actual) OR (e.expected = -2 AND e.actual > 0)))
    INTO append.actual_versions, conflicts
    FROM (
        SELECT
            n,
            append.expected_versions[n] AS expected,
            coalesce(there.version, 0) AS actual
        FROM generate_series(1, cardinality(append.expected_versions)) AS n
        LEFT JOIN LATERAL (
            SELECT events.version
            FROM events
            WHERE events.tenant = append.commit_tenants[append.expected_commits[n]]
                AND events.stream = append.expected_streams[n]
            ORDER BY events.version DESC
            LIMIT 1
        ) AS there ON true
    ) AS e;
    SELECT array_agg(n)
    INTO known
    FROM generate_series(1, cardinality(append.commit_ids)) AS n
    CROSS JOIN LATERAL (
        SELECT
        FROM commits
        WHERE commits.tenant = append.commit_tenants[n] AND commits.commit_id = append.commit_ids[n]
        LIMIT 1
    ) AS there;
    IF known IS NOT NULL OR conflicts IS NOT NULL THEN
        failed := known || conflicts;
        FOR n IN 1 .. cardinality(append.commit_ends) LOOP
            verdict := CASE WHEN n = ANY (known) THEN -1 WHEN n = ANY (conflicts) THEN -2 ELSE 0 END;
            IF verdict = 0 THEN
                events_stored := events_stored + append.commit_ends[n] - events_before;
            END IF;
            events_before := append.commit_ends[n];
            append.commit_ends[n] := CASE WHEN verdict = 0 THEN events_stored ELSE verdict END;
        END LOOP;
    END IF;
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
    )
    SELECT
        append.head + append.commit_ends[append.event_commits[n]] - append.event_tails[n],
        append.actual_versions[append.event_expectations[n]] + append.event_steps[n],
        append.recorded_at,
        append.event_schema_versions[n],
        append.event_ids[n],
        append.event_tails[n],
        append.commit_tenants[append.event_commits[n]],
        append.expected_streams[append.event_expectations[n]],
        append.event_types[n],
        append.commit_metadata[append.event_commits[n]]::json,
        append.event_payloads[n]::json
    FROM generate_series(1, cardinality(append.event_ids)) AS n
    WHERE append.commit_ends[append.event_commits[n]] >= 0;
    INSERT INTO commits (
        sequence,
        position,
        recorded_at,
        commit_id,
        event_count,
        tenant,
        fingerprint,
        kind,
        code,
        message,
        body
    )
    SELECT
        last.sequence + n - CASE
            WHEN failed IS NULL THEN 0
            ELSE (SELECT count(DISTINCT f) FROM unnest(failed) AS f WHERE f < n)
        END,
        append.head + append.commit_ends[n],
        append.recorded_at,
        append.commit_ids[n],
        append.commit_events[n],
        append.commit_tenants[n],
        append.commit_fingerprints[n],
        CASE WHEN append.commit_codes[n] IS NULL THEN 'accepted' ELSE 'refused' END,
        append.commit_codes[n],
        append.commit_messages[n],
        append.commit_bodies[n]::json
    FROM generate_series(1, cardinality(append.commit_ids)) AS n
    WHERE append.commit_ends[n] >= 0;
    IF failed IS NULL THEN
        append.commit_ends := NULL;
    END IF;
END
$$;
