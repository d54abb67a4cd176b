-- The log, the outcomes of the commits that wrote it, and the functions that write both.
-- Names in braces are those of the installation: its schema and its roles.

CREATE TABLE {schema}.migrations (
    number integer PRIMARY KEY,
    name text NOT NULL,
    checksum bytea NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- One row: the identity of the log, drawn here, kept by dump and restore.
CREATE TABLE {schema}.store (
    one integer PRIMARY KEY DEFAULT 1 CHECK (one = 1),
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    created_at timestamptz NOT NULL DEFAULT now()
);

INSERT INTO {schema}.store DEFAULT VALUES;

-- One row: whoever writes the log locks it until its transaction has ended, so position order is
-- commit order. It is locked and never changed: it leaves no dead version behind.
CREATE TABLE {schema}.log_head (
    one integer PRIMARY KEY DEFAULT 1 CHECK (one = 1)
);

INSERT INTO {schema}.log_head DEFAULT VALUES;

-- Attempts of a writer that are void: their answer was lost and they were found not to be stored.
CREATE TABLE {schema}.fences (
    writer uuid PRIMARY KEY,
    attempt bigint NOT NULL,
    raised_at timestamptz NOT NULL DEFAULT now()
);

-- Times are microseconds since 1970. `commit_tail` counts the events of the same commit that follow.
-- `encoding` and `key_id` say how payload and metadata are written; NULL is plain JSON.
CREATE TABLE {schema}.events (
    position bigint PRIMARY KEY,
    version bigint NOT NULL,
    recorded_at bigint NOT NULL,
    schema_version bigint NOT NULL,
    event_id uuid NOT NULL,
    commit_tail integer NOT NULL,
    tenant text COLLATE "C" NOT NULL CHECK (tenant <> ''),
    stream text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    encoding text,
    key_id text,
    metadata json NOT NULL,
    payload json NOT NULL
);

CREATE UNIQUE INDEX events_by_stream ON {schema}.events (tenant, stream, version);

CREATE UNIQUE INDEX events_by_id ON {schema}.events (tenant, event_id);

-- `position` is that of the last event, or the head of the log where there is none.
-- `sequence` is the order they were stored in, for an export.
CREATE TABLE {schema}.commits (
    sequence bigint PRIMARY KEY,
    position bigint NOT NULL,
    recorded_at bigint NOT NULL,
    commit_id uuid NOT NULL,
    event_count integer NOT NULL,
    tenant text COLLATE "C" NOT NULL CHECK (tenant <> ''),
    fingerprint bytea NOT NULL,
    kind text NOT NULL CHECK (kind IN ('accepted', 'refused')),
    code text,
    message text,
    body json
);

CREATE UNIQUE INDEX commits_by_id ON {schema}.commits (tenant, commit_id);

-- Only refusals have a body, until it is forgotten.
CREATE INDEX commits_with_body ON {schema}.commits (recorded_at) WHERE body IS NOT NULL;

-- Nobody has the right to change or remove an event; where somebody gives it, this still refuses.
CREATE FUNCTION {schema}.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: its rows cannot be changed or removed', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER events_are_not_changed BEFORE UPDATE OR DELETE ON {schema}.events
FOR EACH ROW EXECUTE FUNCTION {schema}.refuse_change();

CREATE TRIGGER events_are_not_truncated BEFORE TRUNCATE ON {schema}.events
FOR EACH STATEMENT EXECUTE FUNCTION {schema}.refuse_change();

CREATE TRIGGER commits_are_not_deleted BEFORE DELETE ON {schema}.commits
FOR EACH ROW EXECUTE FUNCTION {schema}.refuse_change();

CREATE TRIGGER commits_are_not_truncated BEFORE TRUNCATE ON {schema}.commits
FOR EACH STATEMENT EXECUTE FUNCTION {schema}.refuse_change();

-- Writes a batch of commits, each checked by itself, in one transaction with no round trip inside.
--
-- Arrays run in parallel: one entry per commit, per stream a commit expects something of, per event.
-- Numbers count from 1: `expected_commits` and `event_commits` those of commits, `event_expectations`
-- those of expectations. `commit_ends` counts the events of the batch up to the end of a commit,
-- `event_steps` those of a commit for one stream up to an event, `event_tails` those of its commit that
-- follow. An expected version is the version, -1 for any, -2 for an existing stream. Without refusals
-- `commit_codes`, `commit_messages` and `commit_bodies` are NULL.
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
    SELECT
        coalesce(c.sequence, 0) AS sequence,
        coalesce(c.position, 0) AS position,
        greatest(
            c.recorded_at,
            coalesce(append.stamp, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
        ) AS recorded_at,
        EXISTS (
            SELECT FROM fences WHERE fences.writer = append.writer AND fences.attempt >= append.attempt
        ) AS fenced
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

-- Declares an attempt of a writer void, with all before it. Once this is committed, an attempt that
-- is not found in the log never will be.
CREATE FUNCTION {schema}.fence(writer uuid, attempt bigint) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, {schema}, pg_temp
SET lock_timeout = '30s'
AS $$
#variable_conflict use_column
BEGIN
    PERFORM FROM log_head WHERE one = 1 FOR UPDATE;
    DELETE FROM fences WHERE raised_at < now() - interval '7 days';
    INSERT INTO fences AS there (writer, attempt)
    VALUES (fence.writer, fence.attempt)
    ON CONFLICT (writer) DO UPDATE
    SET attempt = greatest(there.attempt, excluded.attempt), raised_at = now();
END
$$;

-- Where a read of the log ends that looks at about `span` positions after `after`: at the end of a
-- commit. It tells a tenant's reader positions, and nothing of what is there.
CREATE FUNCTION {schema}.log_bound(after bigint, span bigint, OUT head bigint, OUT bound bigint)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, {schema}, pg_temp
AS $$
BEGIN
    head := coalesce((SELECT e.position FROM events AS e ORDER BY e.position DESC LIMIT 1), 0);
    bound := after;
    IF after < head THEN
        bound := (
            SELECT e.position + e.commit_tail
            FROM events AS e
            WHERE e.position = least(after + span, head)
        );
    END IF;
END
$$;

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
        IF (SELECT e.recorded_at FROM events AS e WHERE e.position = middle) <= stamp THEN
            before := middle;
        ELSE
            beyond := middle;
        END IF;
    END LOOP;
    RETURN before;
END
$$;

-- Row-level security: a reader sees the tenant it has named for its transaction, and none where it
-- named none; a worker sees all.
ALTER TABLE {schema}.migrations ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE {schema}.store ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE {schema}.log_head ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE {schema}.fences ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE {schema}.events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE {schema}.commits ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

CREATE POLICY owned ON {schema}.migrations TO {owner} USING (true) WITH CHECK (true);
CREATE POLICY known ON {schema}.migrations FOR SELECT TO {reader}, {worker} USING (true);
CREATE POLICY known ON {schema}.store FOR SELECT TO {reader}, {worker} USING (true);
CREATE POLICY locked ON {schema}.log_head TO {append} USING (true) WITH CHECK (true);
CREATE POLICY raised ON {schema}.fences TO {append} USING (true) WITH CHECK (true);

CREATE POLICY appended ON {schema}.events FOR INSERT TO {append} WITH CHECK (true);
CREATE POLICY seen ON {schema}.events FOR SELECT TO {append}, {worker} USING (true);
CREATE POLICY of_tenant ON {schema}.events FOR SELECT TO {reader}
USING (tenant = current_setting('underlay.tenant', true));

CREATE POLICY appended ON {schema}.commits FOR INSERT TO {append} WITH CHECK (true);
CREATE POLICY seen ON {schema}.commits FOR SELECT TO {append}, {worker} USING (true);
CREATE POLICY forgotten ON {schema}.commits FOR UPDATE TO {worker} USING (true) WITH CHECK (true);
CREATE POLICY of_tenant ON {schema}.commits FOR SELECT TO {reader}
USING (tenant = current_setting('underlay.tenant', true));

GRANT USAGE ON SCHEMA {schema} TO {append}, {writer}, {reader}, {worker};
GRANT SELECT ON {schema}.migrations, {schema}.store TO {reader}, {worker};
GRANT SELECT, UPDATE ON {schema}.log_head TO {append};
GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.fences TO {append};
GRANT SELECT, INSERT ON {schema}.events, {schema}.commits TO {append};
GRANT SELECT ON {schema}.events, {schema}.commits TO {reader}, {worker};
GRANT UPDATE (message, body) ON {schema}.commits TO {worker};

-- Not even the owner, until it gives itself the right; and then the triggers are there.
REVOKE UPDATE, DELETE, TRUNCATE ON {schema}.events FROM {owner};
REVOKE DELETE, TRUNCATE ON {schema}.commits FROM {owner};

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA {schema} FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {schema}.append, {schema}.append_one TO {writer};
GRANT EXECUTE ON FUNCTION {schema}.fence TO {writer};
GRANT EXECUTE ON FUNCTION {schema}.log_bound TO {reader}, {worker};
GRANT EXECUTE ON FUNCTION {schema}.position_at TO {worker};

-- The functions that write run as a role that cannot log in and may do nothing else.
GRANT CREATE ON SCHEMA {schema} TO {append};
ALTER FUNCTION {schema}.append OWNER TO {append};
ALTER FUNCTION {schema}.append_one OWNER TO {append};
ALTER FUNCTION {schema}.fence OWNER TO {append};
ALTER FUNCTION {schema}.log_bound OWNER TO {append};
REVOKE CREATE ON SCHEMA {schema} FROM {append};
