-- Stores commits as they left another store: with their ids, times and versions, all or none of them.
--
-- Arrays run in parallel: one entry per commit, one per event. Where an id stands for something else,
-- `reused` is the number of that commit: the command, the outcome, or an event is another one. `ahead` is
-- the number of a commit whose time is more than `ahead_max` past `stamp`, or past the server's clock
-- where that is NULL; `told` is that clock. Where a version does not continue its stream, `gap` is the
-- number of that event and `actual` the version of the stream before it. Then nothing is stored.
-- `event_encodings` and `event_key_ids` are NULL of plain payloads.
CREATE FUNCTION {schema}.import_commits(
    commit_tenants text[],
    commit_ids uuid[],
    commit_fingerprints bytea[],
    commit_events integer[],
    commit_codes text[],
    commit_messages text[],
    commit_bodies text[],
    commit_times bigint[],
    event_commits integer[],
    event_places integer[],
    event_streams text[],
    event_versions bigint[],
    event_ids uuid[],
    event_types text[],
    event_schema_versions bigint[],
    event_metadata text[],
    event_payloads text[],
    event_encodings text[],
    event_key_ids text[],
    stamp bigint DEFAULT NULL,
    ahead_max bigint DEFAULT NULL,
    OUT stored bigint,
    OUT reused bigint,
    OUT ahead bigint,
    OUT told bigint,
    OUT gap bigint,
    OUT actual bigint
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
    head record;
    known boolean[];
    befores bigint[];
    differing bigint;
    ends bigint[];
    times bigint[];
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'an import needs the isolation level read committed' USING ERRCODE = 'UL000';
    END IF;
    PERFORM FROM log_head WHERE one = 1 FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'log_head has no row to lock: the order of the log cannot be kept'
            USING ERRCODE = 'data_corrupted';
    END IF;
    import_commits.told :=
        coalesce(import_commits.stamp, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);
    SELECT
        coalesce(last.sequence, 0) AS sequence,
        coalesce(last.position, 0) AS position,
        last.recorded_at
    INTO head
    FROM (SELECT) AS always
    LEFT JOIN LATERAL (
        SELECT c.sequence, c.position, c.recorded_at
        FROM commits AS c
        ORDER BY c.sequence DESC
        LIMIT 1
    ) AS last ON true;
    -- `befores` are the positions before the first events of commits that are there.
    SELECT
        array_agg(there.commit_id IS NOT NULL ORDER BY c.n),
        array_agg(there.position - there.event_count ORDER BY c.n),
        min(c.n) FILTER (
            WHERE there.commit_id IS NOT NULL
                AND (
                    there.fingerprint <> c.fingerprint
                    OR there.event_count <> c.events
                    OR there.code IS DISTINCT FROM c.code
                    -- Message and body may have been forgotten, here or there.
                    OR (
                        NOT (c.message = '' AND coalesce(c.body, 'null') = 'null')
                        AND NOT (there.message = '' AND coalesce(there.body::text, 'null') = 'null')
                        AND (
                            there.message <> c.message
                            OR coalesce(there.body::text, 'null') <> coalesce(c.body, 'null')
                        )
                    )
                )
        ),
        min(c.n) FILTER (
            WHERE there.commit_id IS NULL
                AND c.recorded_at > import_commits.told + import_commits.ahead_max
        )
    INTO known, befores, import_commits.reused, import_commits.ahead
    FROM unnest(
        import_commits.commit_tenants,
        import_commits.commit_ids,
        import_commits.commit_fingerprints,
        import_commits.commit_events,
        import_commits.commit_codes,
        import_commits.commit_messages,
        import_commits.commit_bodies,
        import_commits.commit_times
    ) WITH ORDINALITY AS c (tenant, id, fingerprint, events, code, message, body, recorded_at, n)
    -- One look into the index for each, whatever the planner thinks of the size of the table.
    LEFT JOIN LATERAL (
        SELECT
            commits.commit_id,
            commits.fingerprint,
            commits.position,
            commits.event_count,
            commits.code,
            commits.message,
            commits.body
        FROM commits
        WHERE commits.tenant = c.tenant AND commits.commit_id = c.id
        LIMIT 1
    ) AS there ON true;
    SELECT min(e.commit)
    INTO differing
    FROM unnest(
        import_commits.event_commits,
        import_commits.event_places,
        import_commits.event_streams,
        import_commits.event_versions,
        import_commits.event_ids
    ) AS e (commit, place, stream, version, id)
    LEFT JOIN LATERAL (
        SELECT events.tenant, events.stream, events.version, events.event_id
        FROM events
        -- A range, in the order of positions: a newer server may look under every tenant otherwise.
        WHERE events.position BETWEEN befores[e.commit] + e.place AND befores[e.commit] + e.place
        ORDER BY events.position
        LIMIT 1
    ) AS there ON true
    WHERE known[e.commit]
        AND (there.tenant, there.stream, there.version, there.event_id)
            IS DISTINCT FROM (import_commits.commit_tenants[e.commit], e.stream, e.version, e.id);
    import_commits.reused := least(import_commits.reused, differing);
    IF import_commits.reused IS NOT NULL OR import_commits.ahead IS NOT NULL THEN
        RETURN;
    END IF;
    SELECT checked.n, checked.actual
    INTO import_commits.gap, import_commits.actual
    FROM (
        SELECT
            e.n,
            e.version,
            coalesce(
                (
                    SELECT events.version
                    FROM events
                    WHERE events.tenant = e.tenant AND events.stream = e.stream
                    ORDER BY events.version DESC
                    LIMIT 1
                ),
                0
            ) + row_number() OVER (PARTITION BY e.tenant, e.stream ORDER BY e.n) - 1 AS actual
        FROM (
            SELECT import_commits.commit_tenants[given.commit] AS tenant, given.stream, given.version, given.n
            FROM unnest(
                import_commits.event_commits,
                import_commits.event_streams,
                import_commits.event_versions
            ) WITH ORDINALITY AS given (commit, stream, version, n)
            WHERE NOT known[given.commit]
        ) AS e
    ) AS checked
    WHERE checked.version <> checked.actual + 1
    ORDER BY checked.n
    LIMIT 1;
    IF import_commits.gap IS NOT NULL THEN
        RETURN;
    END IF;
    SELECT
        array_agg(head.position + placed.events_so_far ORDER BY placed.n),
        array_agg(greatest(head.recorded_at, placed.latest) ORDER BY placed.n),
        count(*) FILTER (WHERE NOT known[placed.n])
    INTO ends, times, import_commits.stored
    FROM (
        SELECT
            c.n,
            sum(CASE WHEN known[c.n] THEN 0 ELSE c.events END) OVER in_order AS events_so_far,
            max(CASE WHEN known[c.n] THEN NULL ELSE c.recorded_at END) OVER in_order AS latest
        FROM unnest(import_commits.commit_events, import_commits.commit_times)
            WITH ORDINALITY AS c (events, recorded_at, n)
        WINDOW in_order AS (ORDER BY c.n ROWS UNBOUNDED PRECEDING)
    ) AS placed;
    import_commits.stored := coalesce(import_commits.stored, 0);
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
        encoding,
        key_id,
        metadata,
        payload
    )
    SELECT
        ends[e.commit] - import_commits.commit_events[e.commit] + e.place,
        e.version,
        times[e.commit],
        e.schema_version,
        e.id,
        import_commits.commit_events[e.commit] - e.place,
        import_commits.commit_tenants[e.commit],
        e.stream,
        e.type,
        e.encoding,
        e.key_id,
        e.metadata::json,
        e.payload::json
    FROM unnest(
        import_commits.event_commits,
        import_commits.event_places,
        import_commits.event_streams,
        import_commits.event_versions,
        import_commits.event_ids,
        import_commits.event_types,
        import_commits.event_schema_versions,
        import_commits.event_metadata,
        import_commits.event_payloads,
        import_commits.event_encodings,
        import_commits.event_key_ids
    ) AS e (
        commit,
        place,
        stream,
        version,
        id,
        type,
        schema_version,
        metadata,
        payload,
        encoding,
        key_id
    )
    WHERE NOT known[e.commit];
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
        head.sequence + row_number() OVER (ORDER BY c.n),
        ends[c.n],
        times[c.n],
        c.id,
        c.events,
        c.tenant,
        c.fingerprint,
        CASE WHEN c.code IS NULL THEN 'accepted' ELSE 'refused' END,
        c.code,
        c.message,
        c.body::json
    FROM unnest(
        import_commits.commit_tenants,
        import_commits.commit_ids,
        import_commits.commit_fingerprints,
        import_commits.commit_events,
        import_commits.commit_codes,
        import_commits.commit_messages,
        import_commits.commit_bodies
    ) WITH ORDINALITY AS c (tenant, id, fingerprint, events, code, message, body, n)
    WHERE NOT known[c.n];
END
$$;
