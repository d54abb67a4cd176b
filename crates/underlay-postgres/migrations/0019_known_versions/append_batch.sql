-- Writes a batch of commits, each checked by itself, with the work they send on, in one transaction with no round trip
-- inside. It does what `append_work` does, and looks up no version that the caller knows.
--
-- Arrays run in parallel: one entry per commit, per stream a commit expects something of, per event, per commit that
-- names another, per piece of work. Numbers count from 1: `expected_commits`, `event_commits`, `naming` and
-- `sent_commits` are those of commits, `event_expectations` those of expectations. `commit_ends` counts the events of
-- the batch up to the end of a commit, `event_steps` those of a commit for one stream up to an event, `event_tails`
-- those of its commit that follow. An expected version is the version, -1 for any, -2 for an existing stream. Without
-- refusals `commit_codes`, `commit_messages` and `commit_bodies` are NULL; `event_encodings` and `event_key_ids` are
-- where every payload is plain.
--
-- `seen_position` and `seen_event` are the last event the caller has seen: where it is not there, this log is another
-- one, and nothing is stored. `known_versions` are those of the streams in `expected_streams` at that event, NULL for
-- each that the caller does not know. They count where that event is the last of the log, and are not looked at where
-- others have written since.
--
-- `naming`, `named` and `yields` are as in `stopped_commits`, and NULL where no commit names another. `sent_numbers` are
-- those of a piece in its commit, from 0. A commit has 1,024 places, which its number gives. `sent_due` is NULL where
-- all is due at once, `sent_encodings` and `sent_key_ids` where every payload is plain. Whether a piece is due is judged
-- by `stamp`, or by the server's clock where that is NULL.
--
-- `head` is the position before the batch, `actual_versions` are those before. `commit_ends` comes back without the
-- events of what is not stored, and with -1 in the place of a commit whose id is known or that the one it names stops,
-- -2 of one with an expectation that does not hold; where all is stored it is NULL.
CREATE FUNCTION {schema}.append_batch(
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
    event_encodings text[],
    event_key_ids text[],
    seen_position bigint DEFAULT NULL,
    seen_event uuid DEFAULT NULL,
    known_versions bigint[] DEFAULT NULL,
    naming integer[] DEFAULT NULL,
    named uuid[] DEFAULT NULL,
    yields boolean[] DEFAULT NULL,
    sent_commits integer[] DEFAULT NULL,
    sent_numbers integer[] DEFAULT NULL,
    sent_shards smallint[] DEFAULT NULL,
    sent_lanes smallint[] DEFAULT NULL,
    sent_ids uuid[] DEFAULT NULL,
    sent_kinds text[] DEFAULT NULL,
    sent_receivers text[] DEFAULT NULL,
    sent_keys text[] DEFAULT NULL,
    sent_names text[] DEFAULT NULL,
    sent_versions bigint[] DEFAULT NULL,
    sent_payloads text[] DEFAULT NULL,
    sent_encodings text[] DEFAULT NULL,
    sent_key_ids text[] DEFAULT NULL,
    sent_due bigint[] DEFAULT NULL,
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
    -- Commits that what is stored answers, and those whose expectations do not hold.
    known integer[];
    conflicts integer[];
    -- Of each commit what it is answered in the place of its end, 0 where it is stored, and how many up to it are not.
    verdicts integer[];
    missing integer[];
    events_before integer := 0;
    events_stored integer := 0;
    failed integer := 0;
    number integer;
    now bigint;
    pieces work[];
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'append_batch needs the isolation level read committed' USING ERRCODE = 'UL000';
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
            coalesce(append_batch.stamp, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
        ) AS recorded_at,
        EXISTS (
            SELECT FROM fences WHERE fences.writer = append_batch.writer AND fences.attempt >= append_batch.attempt
        ) AS fenced,
        append_batch.seen_position IS NULL OR EXISTS (
            SELECT FROM events
            WHERE events.position = append_batch.seen_position AND events.event_id = append_batch.seen_event
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
    append_batch.head := last.position;
    append_batch.recorded_at := last.recorded_at;
    -- Versions are those at the end of the log, or nothing.
    IF append_batch.seen_position IS DISTINCT FROM last.position THEN
        append_batch.known_versions := NULL;
    END IF;
    -- Here and below, one look into an index for each, whatever the planner thinks of the size of a
    -- table: plans are kept from when it was empty. Where nothing may be sorted, the last version is
    -- read from the end of the one index that has the order. Elements of arrays are taken one by one,
    -- which is cheaper than `unnest` of many.
    IF append_batch.known_versions IS NULL OR array_position(append_batch.known_versions, NULL) IS NOT NULL THEN
        SELECT array_agg(coalesce(append_batch.known_versions[n], there.version, 0) ORDER BY n)
        INTO append_batch.actual_versions
        FROM generate_series(1, cardinality(append_batch.expected_versions)) AS n
        LEFT JOIN LATERAL (
            SELECT events.version
            FROM events
            WHERE events.tenant = append_batch.commit_tenants[append_batch.expected_commits[n]]
                AND events.stream = append_batch.expected_streams[n]
                AND append_batch.known_versions[n] IS NULL
            ORDER BY events.version DESC
            LIMIT 1
        ) AS there ON true;
    ELSE
        append_batch.actual_versions := append_batch.known_versions;
    END IF;
    SELECT array_agg(append_batch.expected_commits[n])
    INTO conflicts
    FROM generate_series(1, cardinality(append_batch.expected_versions)) AS n
    WHERE NOT (
        append_batch.expected_versions[n] IN (-1, append_batch.actual_versions[n])
        OR (append_batch.expected_versions[n] = -2 AND append_batch.actual_versions[n] > 0)
    );
    SELECT array_agg(n)
    INTO known
    FROM generate_series(1, cardinality(append_batch.commit_ids)) AS n
    CROSS JOIN LATERAL (
        SELECT
        FROM commits
        WHERE commits.tenant = append_batch.commit_tenants[n] AND commits.commit_id = append_batch.commit_ids[n]
        LIMIT 1
    ) AS there;
    IF append_batch.naming IS NOT NULL THEN
        known := known || stopped_commits(
            append_batch.commit_tenants,
            append_batch.commit_fingerprints,
            append_batch.naming,
            append_batch.named,
            append_batch.yields
        );
    END IF;
    IF known IS NOT NULL OR conflicts IS NOT NULL THEN
        verdicts := array_fill(0, ARRAY[cardinality(append_batch.commit_ends)]);
        FOREACH number IN ARRAY coalesce(conflicts, '{}') LOOP
            verdicts[number] := -2;
        END LOOP;
        -- What is stored is the answer, whatever is expected.
        FOREACH number IN ARRAY coalesce(known, '{}') LOOP
            verdicts[number] := -1;
        END LOOP;
        FOR n IN 1 .. cardinality(append_batch.commit_ends) LOOP
            IF verdicts[n] = 0 THEN
                events_stored := events_stored + append_batch.commit_ends[n] - events_before;
            ELSE
                failed := failed + 1;
            END IF;
            missing[n] := failed;
            events_before := append_batch.commit_ends[n];
            append_batch.commit_ends[n] := CASE WHEN verdicts[n] = 0 THEN events_stored ELSE verdicts[n] END;
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
        encoding,
        key_id,
        metadata,
        payload
    )
    SELECT
        append_batch.head + append_batch.commit_ends[append_batch.event_commits[n]] - append_batch.event_tails[n],
        append_batch.actual_versions[append_batch.event_expectations[n]] + append_batch.event_steps[n],
        append_batch.recorded_at,
        append_batch.event_schema_versions[n],
        append_batch.event_ids[n],
        append_batch.event_tails[n],
        append_batch.commit_tenants[append_batch.event_commits[n]],
        append_batch.expected_streams[append_batch.event_expectations[n]],
        append_batch.event_types[n],
        append_batch.event_encodings[n],
        append_batch.event_key_ids[n],
        append_batch.commit_metadata[append_batch.event_commits[n]]::json,
        append_batch.event_payloads[n]::json
    FROM generate_series(1, cardinality(append_batch.event_ids)) AS n
    WHERE append_batch.commit_ends[append_batch.event_commits[n]] >= 0;
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
        last.sequence + n - coalesce(missing[n], 0),
        append_batch.head + append_batch.commit_ends[n],
        append_batch.recorded_at,
        append_batch.commit_ids[n],
        append_batch.commit_events[n],
        append_batch.commit_tenants[n],
        append_batch.commit_fingerprints[n],
        CASE WHEN append_batch.commit_codes[n] IS NULL THEN 'accepted' ELSE 'refused' END,
        append_batch.commit_codes[n],
        append_batch.commit_messages[n],
        append_batch.commit_bodies[n]::json
    FROM generate_series(1, cardinality(append_batch.commit_ids)) AS n
    WHERE append_batch.commit_ends[n] >= 0;
    IF append_batch.sent_ids IS NOT NULL THEN
        now := coalesce(append_batch.stamp, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);
        -- In the order of the columns of both tables. What is due later is rare, and its table has many indexes.
        pieces := ARRAY(
            SELECT
                ROW(
                    (
                        last.sequence
                        + append_batch.sent_commits[n]
                        - coalesce(missing[append_batch.sent_commits[n]], 0)
                    ) * 1024 + append_batch.sent_numbers[n],
                    append_batch.recorded_at,
                    append_batch.sent_versions[n],
                    CASE WHEN append_batch.sent_due[n] > now THEN append_batch.sent_due[n] END,
                    NULL::bigint,
                    append_batch.sent_ids[n],
                    append_batch.commit_ids[append_batch.sent_commits[n]],
                    0,
                    0,
                    append_batch.sent_shards[n],
                    append_batch.sent_lanes[n],
                    NULL::boolean,
                    false,
                    append_batch.commit_tenants[append_batch.sent_commits[n]],
                    append_batch.sent_kinds[n],
                    append_batch.sent_receivers[n],
                    append_batch.sent_keys[n],
                    append_batch.sent_names[n],
                    append_batch.sent_encodings[n],
                    append_batch.sent_key_ids[n],
                    NULL::text,
                    append_batch.commit_metadata[append_batch.sent_commits[n]]::json,
                    append_batch.sent_payloads[n]::json
                )::work
            FROM generate_series(1, cardinality(append_batch.sent_ids)) AS n
            WHERE append_batch.commit_ends[append_batch.sent_commits[n]] >= 0
        );
        INSERT INTO work
        SELECT piece.*
        FROM unnest(pieces) AS piece
        WHERE piece.due_at IS NULL;
        IF append_batch.sent_due IS NOT NULL THEN
            INSERT INTO work_later
            SELECT piece.*
            FROM unnest(pieces) AS piece
            WHERE piece.due_at IS NOT NULL;
        END IF;
    END IF;
    IF verdicts IS NULL THEN
        append_batch.commit_ends := NULL;
    END IF;
END
$$;
