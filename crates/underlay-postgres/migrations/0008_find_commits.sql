-- The log is written by procedures that end their transaction themselves. Of a call of a function the
-- transaction, and the lock of the log with it, would stay until the client's next message: where the
-- network dies in between, nobody could write until the server notices.
--
-- A statement timeout that is set for the login would also end the wait for a standby, and what the
-- standby lacks would be acknowledged; it does not run while a transaction ends by itself. So where one is
-- set the transaction ends by the client's message, and the connection is guarded instead: for so long at
-- most as `longest` says.

-- For the transaction it is called in: the server looks after a client that is silent, and gives it up.
-- Times are milliseconds; PostgreSQL has no `transaction_timeout` before 17. Over a socket of the system
-- there is nothing to look after.
CREATE FUNCTION {schema}.guard_transaction(longest bigint) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM
        pg_catalog.set_config('tcp_keepalives_idle', '5', true),
        pg_catalog.set_config('tcp_keepalives_interval', '2', true),
        pg_catalog.set_config('tcp_keepalives_count', '3', true),
        pg_catalog.set_config('tcp_user_timeout', '10000', true);
    IF pg_catalog.current_setting('server_version_num')::integer >= 170000 THEN
        PERFORM pg_catalog.set_config('transaction_timeout', guard_transaction.longest::text, true);
    END IF;
END
$$;

-- As `append`, and ends the transaction.
CREATE PROCEDURE {schema}.store_commits(
    writer uuid,
    attempt bigint,
    stamp bigint,
    commit_tenants text[],
    commit_ids uuid[],
    commit_fingerprints bytea[],
    commit_events integer[],
    ends integer[],
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
    longest bigint,
    OUT head bigint,
    OUT recorded_at bigint,
    OUT commit_ends integer[],
    OUT actual_versions bigint[]
)
LANGUAGE plpgsql
AS $$
DECLARE
    ends_by_itself boolean := pg_catalog.current_setting('statement_timeout') = '0';
BEGIN
    IF NOT ends_by_itself THEN
        PERFORM {schema}.guard_transaction(longest);
    END IF;
    SELECT a.head, a.recorded_at, a.commit_ends, a.actual_versions
    INTO head, recorded_at, commit_ends, actual_versions
    FROM {schema}.append(
        store_commits.writer,
        store_commits.attempt,
        store_commits.stamp,
        store_commits.commit_tenants,
        store_commits.commit_ids,
        store_commits.commit_fingerprints,
        store_commits.commit_events,
        store_commits.ends,
        store_commits.commit_codes,
        store_commits.commit_messages,
        store_commits.commit_bodies,
        store_commits.commit_metadata,
        store_commits.expected_commits,
        store_commits.expected_streams,
        store_commits.expected_versions,
        store_commits.event_commits,
        store_commits.event_expectations,
        store_commits.event_steps,
        store_commits.event_tails,
        store_commits.event_ids,
        store_commits.event_types,
        store_commits.event_schema_versions,
        store_commits.event_payloads,
        store_commits.seen_position,
        store_commits.seen_event
    ) AS a;
    IF ends_by_itself THEN
        COMMIT;
    END IF;
END
$$;

-- As `append_one`, and ends the transaction.
CREATE PROCEDURE {schema}.store_commit(
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
    seen_position bigint,
    seen_event uuid,
    longest bigint,
    OUT ended bigint,
    OUT recorded_at bigint,
    OUT actual_version bigint
)
LANGUAGE plpgsql
AS $$
DECLARE
    ends_by_itself boolean := pg_catalog.current_setting('statement_timeout') = '0';
BEGIN
    IF NOT ends_by_itself THEN
        PERFORM {schema}.guard_transaction(longest);
    END IF;
    SELECT a.ended, a.recorded_at, a.actual_version
    INTO ended, recorded_at, actual_version
    FROM {schema}.append_one(
        store_commit.writer,
        store_commit.attempt,
        store_commit.stamp,
        store_commit.tenant,
        store_commit.commit_id,
        store_commit.fingerprint,
        store_commit.metadata,
        store_commit.stream,
        store_commit.expected,
        store_commit.event_id,
        store_commit.type,
        store_commit.schema_version,
        store_commit.payload,
        store_commit.seen_position,
        store_commit.seen_event
    ) AS a;
    IF ends_by_itself THEN
        COMMIT;
    END IF;
END
$$;

-- As `fence`, and ends the transaction.
CREATE PROCEDURE {schema}.raise_fence(writer uuid, attempt bigint, longest bigint)
LANGUAGE plpgsql
AS $$
DECLARE
    ends_by_itself boolean := pg_catalog.current_setting('statement_timeout') = '0';
BEGIN
    IF NOT ends_by_itself THEN
        PERFORM {schema}.guard_transaction(longest);
    END IF;
    PERFORM {schema}.fence(raise_fence.writer, raise_fence.attempt);
    IF ends_by_itself THEN
        COMMIT;
    END IF;
END
$$;

-- Who looks up what became of a lost attempt sees in the same look that the attempt is void.
CREATE POLICY known ON {schema}.fences FOR SELECT TO {worker} USING (true);

GRANT SELECT ON {schema}.fences TO {worker};

REVOKE ALL ON FUNCTION {schema}.guard_transaction FROM PUBLIC;
REVOKE ALL ON PROCEDURE {schema}.store_commits, {schema}.store_commit, {schema}.raise_fence FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {schema}.guard_transaction TO {writer}, {worker};
GRANT EXECUTE ON PROCEDURE {schema}.store_commits, {schema}.store_commit, {schema}.raise_fence TO {writer};
