-- As it was, and faster: what is sent goes into its table without a stop in an array. It is replaced by the role that
-- owns it.
GRANT CREATE ON SCHEMA {schema} TO {append};
SET LOCAL ROLE {append};

-- As `append`, of commits of which some send work on or name another: it is stored in the same transaction, under the
-- same lock.
--
-- `naming`, `named` and `yields` are as in `stopped_commits`, and NULL where no commit names another. What is stopped
-- comes back with -1, as a commit whose id is known: what was stored before answers it. `actual_versions` then has
-- entries that nobody asked for at its end.
--
-- Arrays of `sent_` run in parallel, one entry for each piece. `sent_commits` are the numbers of their commits,
-- from 1, and `sent_numbers` those in their commit, from 0. A commit has 1,024 places, which its number gives.
-- `sent_due` is NULL where all is due at once, `sent_encodings` and `sent_key_ids` where every payload is plain.
-- Whether a piece is due is judged by `stamp`, or by the server's clock where that is NULL.
CREATE OR REPLACE FUNCTION {schema}.append_work(
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
    seen_position bigint,
    seen_event uuid,
    event_encodings text[],
    event_key_ids text[],
    sent_commits integer[],
    sent_numbers integer[],
    sent_shards smallint[],
    sent_lanes smallint[],
    sent_ids uuid[],
    sent_kinds text[],
    sent_receivers text[],
    sent_keys text[],
    sent_names text[],
    sent_versions bigint[],
    sent_payloads text[],
    sent_encodings text[],
    sent_key_ids text[],
    sent_due bigint[],
    naming integer[],
    named uuid[],
    yields boolean[],
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
    -- The number of the commit before the first of the batch.
    before bigint;
    -- Of each commit, how many up to it were not stored; NULL where all were.
    missing integer[];
    failed integer := 0;
    now bigint;
    stopped integer[];
BEGIN
    IF append_work.naming IS NOT NULL THEN
        stopped := stopped_commits(
            append_work.commit_tenants,
            append_work.commit_fingerprints,
            append_work.naming,
            append_work.named,
            append_work.yields
        );
    END IF;
    IF stopped IS NOT NULL THEN
        -- What expects a version that no stream reaches is not stored.
        append_work.expected_commits := append_work.expected_commits || stopped;
        append_work.expected_streams :=
            append_work.expected_streams || array_fill(''::text, ARRAY[cardinality(stopped)]);
        append_work.expected_versions :=
            append_work.expected_versions || array_fill(9223372036854775807, ARRAY[cardinality(stopped)]);
    END IF;
    SELECT a.head, a.recorded_at, a.commit_ends, a.actual_versions
    INTO append_work.head, append_work.recorded_at, append_work.commit_ends, append_work.actual_versions
    FROM append(
        append_work.writer,
        append_work.attempt,
        append_work.stamp,
        append_work.commit_tenants,
        append_work.commit_ids,
        append_work.commit_fingerprints,
        append_work.commit_events,
        append_work.commit_ends,
        append_work.commit_codes,
        append_work.commit_messages,
        append_work.commit_bodies,
        append_work.commit_metadata,
        append_work.expected_commits,
        append_work.expected_streams,
        append_work.expected_versions,
        append_work.event_commits,
        append_work.event_expectations,
        append_work.event_steps,
        append_work.event_tails,
        append_work.event_ids,
        append_work.event_types,
        append_work.event_schema_versions,
        append_work.event_payloads,
        append_work.seen_position,
        append_work.seen_event,
        append_work.event_encodings,
        append_work.event_key_ids
    ) AS a;
    IF stopped IS NOT NULL THEN
        FOR n IN 1 .. cardinality(stopped) LOOP
            append_work.commit_ends[stopped[n]] := -1;
        END LOOP;
    END IF;
    IF append_work.commit_ends IS NOT NULL THEN
        FOR n IN 1 .. cardinality(append_work.commit_ends) LOOP
            IF append_work.commit_ends[n] < 0 THEN
                failed := failed + 1;
            END IF;
            missing[n] := failed;
        END LOOP;
    END IF;
    SELECT c.sequence - cardinality(append_work.commit_ids) + failed
    INTO before
    FROM commits AS c
    ORDER BY c.sequence DESC
    LIMIT 1;
    now := coalesce(append_work.stamp, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);
    INSERT INTO work (
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
        payload
    )
    SELECT
        (before + append_work.sent_commits[n] - coalesce(missing[append_work.sent_commits[n]], 0))
            * 1024 + append_work.sent_numbers[n],
        append_work.recorded_at,
        append_work.sent_versions[n],
        append_work.sent_ids[n],
        append_work.commit_ids[append_work.sent_commits[n]],
        append_work.sent_shards[n],
        append_work.sent_lanes[n],
        append_work.commit_tenants[append_work.sent_commits[n]],
        append_work.sent_kinds[n],
        append_work.sent_receivers[n],
        append_work.sent_keys[n],
        append_work.sent_names[n],
        append_work.sent_encodings[n],
        append_work.sent_key_ids[n],
        append_work.commit_metadata[append_work.sent_commits[n]]::json,
        append_work.sent_payloads[n]::json
    FROM generate_series(1, cardinality(append_work.sent_ids)) AS n
    WHERE coalesce(append_work.commit_ends[append_work.sent_commits[n]], 0) >= 0
        AND (append_work.sent_due[n] > now) IS NOT TRUE;
    -- Due later is little of it, and its table has many indexes.
    IF append_work.sent_due IS NOT NULL THEN
        INSERT INTO work_later (
            place,
            sent_at,
            version,
            due_at,
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
            payload
        )
        SELECT
            (before + append_work.sent_commits[n] - coalesce(missing[append_work.sent_commits[n]], 0))
                * 1024 + append_work.sent_numbers[n],
            append_work.recorded_at,
            append_work.sent_versions[n],
            append_work.sent_due[n],
            append_work.sent_ids[n],
            append_work.commit_ids[append_work.sent_commits[n]],
            append_work.sent_shards[n],
            append_work.sent_lanes[n],
            append_work.commit_tenants[append_work.sent_commits[n]],
            append_work.sent_kinds[n],
            append_work.sent_receivers[n],
            append_work.sent_keys[n],
            append_work.sent_names[n],
            append_work.sent_encodings[n],
            append_work.sent_key_ids[n],
            append_work.commit_metadata[append_work.sent_commits[n]]::json,
            append_work.sent_payloads[n]::json
        FROM generate_series(1, cardinality(append_work.sent_ids)) AS n
        WHERE coalesce(append_work.commit_ends[append_work.sent_commits[n]], 0) >= 0
            AND append_work.sent_due[n] > now;
    END IF;
END
$$;

SET LOCAL ROLE {owner};
REVOKE CREATE ON SCHEMA {schema} FROM {append};
